"""Builds the package of a run that met a limit: figure, limit, history, and what was tried."""

import re
from collections.abc import Sequence
from typing import Final

from handfast.core.domain.action import Facts
from handfast.core.domain.events import from_bytes
from handfast.core.domain.events_work import StepFinished, StepJudged
from handfast.core.domain.inert import inert
from handfast.core.domain.limit_facts import Crossed, Level
from handfast.core.domain.package import Attempt, Evidence, Package, ShowKind, WhatWillHappen
from handfast.core.domain.run import Run
from handfast.core.domain.usage import failed
from handfast.core.policy import limit_words
from handfast.engine.kernel import Kernel
from handfast.engine.ledger import attempts_of
from handfast.engine.packages import MAX_PROSE, containment, cost_of

MAX_ATTEMPTS: Final = 10
_EVENTS: Final = 400
_MAX_LINE: Final = 300
_PAGE: Final = 500


def escalation(
    kernel: Kernel,
    run: Run,
    crossed: Sequence[Crossed],
    not_watched: Sequence[str],
    facts: Facts,
    agent_says: str,
) -> Package:
    """Everything in it is a figure or a recorded step, but for `agent_says`."""
    figures = "; ".join(limit_words.figure(c) for c in crossed)
    met = "a limit" if len(crossed) == 1 else f"{len(crossed)} limits"
    stop = any(c.level is Level.STOP for c in crossed)
    said = [limit_words.sentence(c) for c in crossed]
    before = attempts_of(kernel, run.task_id, but_run=run.run_id)
    tried = (*before, *attempts(kernel, run))
    details = (
        f"The call it was about to make: {facts.summary}",
        "Deciding here does not approve that call: it is judged by policy when the run goes on.",
    )
    return Package(
        ask=inert(f"The run has met {met}: {figures}", _MAX_LINE, multiline=False),
        what_will_happen=WhatWillHappen(
            ShowKind.TEXT, limit_words.going_on(crossed), details, reversible=True
        ),
        why_now=" ".join(said),
        open_question="Should the agent go on with this, and if so, with what in mind?",
        state=_state(stop=stop),
        evidence=(*_evidence(run, crossed), *(_warned(w) for w in limit_words.warnings(run))),
        attempts=tried,
        cost=cost_of(run),
        agent_says=agent_says[:MAX_PROSE],
        pointers=(f"run {run.run_id}",),
        not_seen=tuple(
            f"Not watched: {limit_words.LABELS[name]}. The harness does not tell it."
            for name in not_watched
        ),
        containment=containment(run),
    )


def _state(*, stop: bool) -> str:
    held = (
        "Calls of this run that have an effect are denied until you decide."
        if stop
        else "Calls of this run that have an effect wait until you decide."
    )
    return (
        f"{held} Reading goes on. Nothing is undone. Letting it go on or sending words raises the limit for "
        "this run only; refusing or taking over stops the run, and what it did so far stays as it is."
    )


def _evidence(run: Run, crossed: Sequence[Crossed]) -> list[Evidence]:
    failing = run.usage.failing
    step = failing[-1].step_id if failing else ""
    about_failing = ("failing_call_repeats", "consecutive_errors")
    return [
        Evidence(
            limit_words.figure(c), "recorded", step_id=step if c.metric in about_failing else ""
        )
        for c in crossed
    ]


def _warned(text: str) -> Evidence:
    return Evidence(f"Earlier: {text}", "recorded")


def attempts(kernel: Kernel, run: Run) -> tuple[Attempt, ...]:
    """The newest calls that failed, oldest first, each once: tried, how it ended, the last words of its
    result."""
    judged: dict[str, StepJudged] = {}
    found: dict[str, tuple[StepFinished, int]] = {}
    stream = f"run/{run.run_id}"
    row = kernel.store.load(stream)
    after = max((row.version if row else 0) - _EVENTS, 0)
    for each in kernel.store.events(stream=stream, after=after, limit=_PAGE):
        event = from_bytes(each.data).event
        if isinstance(event, StepJudged):
            judged[event.step_id] = event
        elif isinstance(event, StepFinished) and failed(event) and event.step_id in judged:
            digest = judged[event.step_id].action_digest
            _, times = found.pop(digest, (event, 0))
            found[digest] = (event, times + 1)
    steps = {judged[e.step_id].action_digest: judged[e.step_id] for e, _ in found.values()}
    return tuple(
        _attempt(kernel, steps[digest], event, times)
        for digest, (event, times) in list(found.items())[-MAX_ATTEMPTS:]
    )


def _attempt(kernel: Kernel, step: StepJudged, event: StepFinished, times: int) -> Attempt:
    summary = kernel.vault.open(step.summary.body_id).text if step.summary else step.tool
    code = "failed" if event.exit_code is None else f"exit code {event.exit_code}"
    output = kernel.vault.text(event.output)
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return Attempt(
        tried=inert(summary, _MAX_LINE, multiline=False),
        outcome=code if times == 1 else f"{code}, {times} times",
        why=inert(lines[-1], _MAX_LINE, multiline=False) if lines else "",
    )


_CHANGING: Final = re.compile(
    r"0x[0-9a-fA-F]{4,}|\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d(?:[.,]\d+)?|\d+(?:\.\d+)?\s?(?:ms|s|sec|seconds)\b"
)


def gist(output: str) -> str:
    """A result without what differs between two runs that went alike: times, dates, addresses."""
    return _CHANGING.sub("#", output).strip()
