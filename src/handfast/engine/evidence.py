"""Gathers what a run recorded, for its claims to be held against."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, cast

from handfast.core.domain.change import ChangedFile
from handfast.core.domain.claim_words import quoted
from handfast.core.domain.claims import Part, Record, Step, evidence_for
from handfast.core.domain.events import from_bytes
from handfast.core.domain.events_work import BodyRef, StepFinished, StepJudged
from handfast.core.domain.inert import inert
from handfast.core.domain.package import Evidence, Stated
from handfast.core.domain.run import Run
from handfast.core.domain.stated import linked, stated_in, without_blocks
from handfast.engine.kernel import Kernel
from handfast.observe.checks import inside, parts_of
from handfast.observe.secrets import redact

# The newest: a check that lies further back than this counts as not recorded.
MAX_EVENTS: Final = 6_000
_PAGE: Final = 500
_MAX_OUTPUT: Final = 4_000
_SHELLS: Final = ("Bash", "PowerShell")
_RAN: Final = ("allow", "observed")
_STILL: Final = ("read", "network")


def evidence_of(
    kernel: Kernel,
    run: Run,
    criteria: Sequence[str],
    says: str,
    changes: tuple[ChangedFile, ...],
    written_at: datetime | None,
) -> tuple[Evidence, ...]:
    """Each criterion of the brief, and each claim in the agent's last words, with the recorded call behind it."""
    steps = recorded_steps(kernel, run)
    record = Record(steps, changes, written_at, quoted(criteria))
    return evidence_for(criteria, inert(without_blocks(says), 20_000), record)


def stated_by(kernel: Kernel, run: Run, says: str) -> tuple[Stated, ...]:
    """The claims that the agent states in what it says, each linked to the recorded step that its basis names."""
    stated = stated_in(redact(says[:20_000])[0])
    return linked(stated, recorded_steps(kernel, run)) if stated else ()


def recorded_steps(kernel: Kernel, run: Run) -> tuple[Step, ...]:
    """The run's shell commands, and its other calls with an effect, in the order of the log."""
    judged: dict[str, tuple[int, StepJudged, datetime]] = {}
    finished: dict[str, tuple[int, StepFinished, str]] = {}
    stream = f"run/{run.run_id}"
    row = kernel.store.load(stream)
    after, last = max((row.version if row else 0) - MAX_EVENTS, 0), row.version if row else 0
    while after < last:
        rows = kernel.store.events(stream=stream, after=after, limit=_PAGE)
        if not rows:
            break
        after = rows[-1].version
        for each in rows:
            recorded = from_bytes(each.data)
            if isinstance(recorded.event, StepJudged):
                found = each.version, recorded.event, recorded.event.called_at or recorded.at
                judged[recorded.event.step_id] = found
            elif isinstance(recorded.event, StepFinished):
                result = each.version, recorded.event, recorded.actor.type
                finished[recorded.event.step_id] = result
    wanted = [
        (at, step, called, finished.get(step.step_id))
        for at, step, called in judged.values()
        if (step.effect != "read" or step.tool in _SHELLS)
        and (step.verdict in _RAN or step.step_id in finished)
    ]
    return _steps(kernel, run, wanted)


def _steps(
    kernel: Kernel,
    run: Run,
    wanted: Sequence[tuple[int, StepJudged, datetime, tuple[int, StepFinished, str] | None]],
) -> tuple[Step, ...]:
    texts = _Texts(kernel)
    for _, judged, _, done in wanted:
        texts.ask(judged.call if judged.tool in _SHELLS else judged.summary)
        texts.ask(done[1].output if done and judged.tool in _SHELLS else None)
    found = []
    for began, judged, called, done in wanted:
        shell = judged.tool in _SHELLS
        command, cwd = texts.command(judged.call) if shell else ("", "")
        ended, result, by = done or (0, None, "")
        found.append(
            Step(
                step_id=judged.step_id,
                began=began,
                ended=ended,
                command=command or texts.text(judged.summary),
                parts=_parts(judged, command, run.worktree or run.cwd, cwd),
                changes=not command and judged.effect not in _STILL,
                exit_code=result.exit_code if result else None,
                failed=result.failed if result else False,
                at=called,
                duration_ms=result.duration_ms if result else 0,
                output=texts.text(result.output)[-_MAX_OUTPUT:] if result and shell else "",
                by_agent=by == "agent",
                key=judged.key,
                elsewhere="" if inside(cwd, run.worktree or run.cwd) else cwd,
            )
        )
    return tuple(found)


def _parts(judged: StepJudged, command: str, worktree: str, cwd: str) -> tuple[Part, ...]:
    if judged.tool == "Bash" and command:
        found = parts_of(command, worktree, cwd)
    else:
        found = (Part(command, why_not=f"{judged.tool} is not read here."),) if command else ()
    # What the gate saw to be a mere look wrote nothing, whatever the table here knows of it.
    return tuple(replace(p, changes=False) for p in found) if judged.effect == "read" else found


class _Texts:
    """Bodies, read in batches."""

    def __init__(self, kernel: Kernel) -> None:
        self._vault = kernel.vault
        self._asked: list[str] = []
        self._known: dict[str, str] = {}

    def ask(self, ref: BodyRef | None) -> None:
        if ref is not None:
            self._asked.append(ref.body_id)

    def text(self, ref: BodyRef | None) -> str:
        if ref is None:
            return ""
        while self._asked:
            batch, self._asked = self._asked[:_PAGE], self._asked[_PAGE:]
            found = self._vault.open_many(batch)
            self._known |= {body_id: content.text for body_id, content in found.items()}
        return self._known.get(ref.body_id, "")

    def command(self, ref: BodyRef | None) -> tuple[str, str]:
        """The shell command of a call and its folder; '' where it was erased or is none."""
        try:
            call = cast("dict[str, Any]", json.loads(self.text(ref) or "{}"))
        except ValueError:
            return "", ""
        command = (call.get("arguments") or {}).get("command")
        return (command, str(call.get("cwd", "."))) if isinstance(command, str) else ("", "")
