"""What a changed policy would have said of the recorded actions: re-judged, one by one, nothing is written.

Compared are two policies on the same facts, the one in force now and the changed one. What was recorded
when the call was made counts only for what came of it: the handoffs that would have been saved.
"""

import json
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import TypeAlias, TypeVar, cast

from handfast.core.domain.action import Call, Effect, Facts, Judgement, Verdict
from handfast.core.domain.agent import Agent
from handfast.core.domain.codec import decode, format_time
from handfast.core.domain.events import Recorded, from_bytes
from handfast.core.domain.events_limits import UsageReported
from handfast.core.domain.events_work import AgentExited, StepFinished, StepJudged
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.limit_facts import Reported
from handfast.core.domain.run import Run
from handfast.core.domain.task import Task
from handfast.core.policy.judging import Rulebook, judge
from handfast.core.policy.subject import (
    AgentFacts,
    Moment,
    RunFacts,
    Subject,
    TaskFacts,
    call_facts,
    change_facts,
)
from handfast.engine.kernel import Kernel, Result
from handfast.engine.projections import KINDS, load

T = TypeVar("T")
Books: TypeAlias = Callable[[str], Sequence[Rulebook]]  # of a repository
Progress: TypeAlias = Callable[[int, int], None]  # events read, events in all
_TYPES = ("step.judged", "step.finished", "run.agent_exited", "run.usage_reported")
_PAGE = 1000
_KEPT_RUNS = 2000
_VERDICTS = tuple(Verdict)


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded action, as it can be judged again."""

    step: StepJudged
    at: str
    facts: Facts
    subject: Subject
    repository: str


@dataclass(slots=True)
class Simulation:
    """`changes` counts transitions such as `gate → allow`. A handoff that is saved was really opened;
    one that is added counts once for each call of a run, however often it was repeated."""

    judged: int = 0
    unreadable: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    listed: list[Result] = field(default_factory=list)
    rules: Counter[str] = field(default_factory=Counter)
    saved: set[str] = field(default_factory=set)
    added: set[tuple[str, str]] = field(default_factory=set)
    saved_decisions: Counter[str] = field(default_factory=Counter)

    def note(
        self,
        was: Judgement,
        new: Judgement,
        call: tuple[str, str],
        handoff_id: str,
        shown: Callable[[], Result] | None,
    ) -> None:
        """Count one action. `call` is what makes it the same call again, `handoff_id` what stopping it led
        to, `shown` what a list says of it, where there is still room."""
        self.judged += 1
        if was.verdict is new.verdict:
            return
        self.changes[f"{was.verdict.value} → {new.verdict.value}"] += 1
        tighter = _VERDICTS.index(new.verdict) > _VERDICTS.index(was.verdict)
        if tighter:
            self.rules.update(r.id for r in new.rules if r not in was.rules)
        if new.verdict is Verdict.GATE:
            self.added.add(call)
        elif was.verdict is Verdict.GATE and handoff_id:
            self.saved.add(handoff_id)
        if shown is not None:
            verdicts = {"was": was.verdict.value, "now": new.verdict.value}
            rules = [r.id for r in (new if tighter else was).rules]
            self.listed.append({**shown(), **verdicts, "rules": rules})

    def to_json(self) -> Result:
        return {
            "judged": self.judged,
            "unreadable": self.unreadable,
            "changes": dict(self.changes),
            "handoffs_saved": len(self.saved),
            "handoffs_saved_decided": dict(self.saved_decisions),
            "handoffs_added": len(self.added),
            "rules_that_stop_more": dict(self.rules.most_common(20)),
            "actions": self.listed,
        }


def simulate(
    kernel: Kernel,
    now: Books,
    changed: Books,
    progress: Progress,
    *,
    after: int = 0,
    most: int = 100,
) -> Simulation:
    """Judge every recorded action after a position by both. `most` bounds the list of what changes.

    Reads page by page in bounded memory. Actions whose content was erased are counted, not guessed.
    """
    done = Simulation()
    for recording in _History(kernel, done, progress).after(after):
        was = judge(recording.facts, recording.subject, now(recording.repository))
        new = judge(recording.facts, recording.subject, changed(recording.repository))
        step = recording.step
        shown = partial(_shown, kernel, recording) if len(done.listed) < most else None
        done.note(was, new, (step.run_id, step.action_digest), step.handoff_id, shown)
    _decisions(kernel, done)
    return done


def recording_of(kernel: Kernel, run_id: str, step_id: str) -> Recording | None:
    """One recorded action of a run, as it can be judged again: with what was known of its run by then.

    None where there is no such step, or its content was erased.
    """
    history = _History(kernel, Simulation(), lambda *_: None)
    after = 0
    while page := kernel.store.events(
        stream=f"run/{run_id}", after=after, limit=_PAGE, types=_TYPES
    ):
        after = page[-1].version
        for found in history.page([from_bytes(row.data) for row in page]):
            if found.step.step_id == step_id:
                return found
    return None


def _shown(kernel: Kernel, recording: Recording) -> Result:
    step = recording.step
    return {
        "step_id": step.step_id,
        "run_id": step.run_id,
        "handoff_id": step.handoff_id,
        "at": recording.at,
        "tool": step.tool,
        "summary": kernel.vault.text(step.summary),
    }


def _decisions(kernel: Kernel, done: Simulation) -> None:
    """How people decided the handoffs that would not have been: a rejection saved is a warning."""
    for handoff_id in sorted(done.saved):
        row = kernel.store.load(f"handoff/{handoff_id}")
        state = load(KINDS[Handoff], row.doc) if row else None
        if isinstance(state, Handoff):
            kind = state.decision.kind.value if state.decision else state.status.value
            done.saved_decisions[kind] += 1


@dataclass(slots=True)
class _Known:
    """What is known of a run while its steps go by."""

    run: Run
    agent: AgentFacts
    task: TaskFacts
    facts: RunFacts


class _History:
    def __init__(self, kernel: Kernel, done: Simulation, progress: Progress) -> None:
        self._kernel = kernel
        self._done = done
        self._progress = progress
        self._runs: OrderedDict[str, _Known] = OrderedDict()

    def after(self, position: int) -> Iterator[Recording]:
        store, size = self._kernel.store, self._kernel.store.size()
        while page := store.events(after=position, limit=_PAGE, types=_TYPES):
            position = page[-1].position
            yield from self.page([from_bytes(row.data) for row in page])
            self._progress(position, size)
        self._progress(size, size)

    def page(self, page: list[Recorded]) -> Iterator[Recording]:
        steps = [r.event for r in page if isinstance(r.event, StepJudged)]
        wanted = [b.body_id for s in steps for b in (s.call, s.facts) if b]
        bodies = self._kernel.vault.open_many(wanted)
        texts = {body_id: content.data for body_id, content in bodies.items() if not content.erased}
        for recorded in page:
            event = recorded.event
            known = self._run(recorded.stream.partition("/")[2])
            if isinstance(event, StepFinished):
                failed = known.facts.failed_calls + int(event.failed)
                known.facts = replace(known.facts, failed_calls=failed)
            elif isinstance(event, AgentExited):
                cost = Decimal(str(known.facts.cost_usd)) + Decimal(event.cost_usd or "0")
                known.facts = replace(known.facts, cost_usd=float(cost))
            elif isinstance(event, UsageReported):
                known.facts = _told(known.facts, event.reported)
            elif isinstance(event, StepJudged):
                found = self._recording(recorded, event, known, texts)
                if found is not None:
                    yield found
                stopped = known.facts.stopped_calls + int(event.verdict == "wait")
                calls = known.facts.tool_calls + 1
                known.facts = replace(known.facts, tool_calls=calls, stopped_calls=stopped)

    def _recording(
        self, recorded: Recorded, step: StepJudged, known: _Known, texts: Mapping[str, bytes]
    ) -> Recording | None:
        call = Call(step.tool, {})
        if step.call is not None:
            data = texts.get(step.call.body_id)
            if data is None:
                self._done.unreadable += 1
                return None
            call = decode(Call, cast("dict[str, object]", json.loads(data)))
        facts = Facts(Effect(step.effect), "", step.hazards, step.opaque)
        if step.facts is not None and (seen := texts.get(step.facts.body_id)):
            more = decode(Facts, {"effect": step.effect, "summary": "", **json.loads(seen)})
            facts = replace(more, hazards=facts.hazards, opaque=facts.opaque)
        subject = Subject(
            call=call_facts(call, facts, executor="hooked", subagent=step.subagent),
            request=Moment(step.called_at or recorded.at),
            change=change_facts(facts),
            agent=known.agent,
            run=known.facts,
            task=known.task,
        )
        at = format_time(step.called_at or recorded.at)
        return Recording(step, at, facts, subject, known.facts.repository)

    def _run(self, run_id: str) -> _Known:
        known = self._runs.get(run_id)
        if known is None:
            run = self._kernel.state(Run, run_id)
            agent = self._state(Agent, f"agent/{run.agent_id}")
            task = self._state(Task, f"task/{run.task_id}") if run.task_id else None
            known = self._runs[run_id] = _Known(
                run,
                AgentFacts(agent.agent_id, agent.name, agent.harness) if agent else AgentFacts(),
                TaskFacts(task.task_id, task.target_branch) if task else TaskFacts(),
                RunFacts(run.run_id, run.root, run.branch),
            )
            while len(self._runs) > _KEPT_RUNS:
                self._runs.popitem(last=False)
        return known

    def _state(self, kind: type[T], stream: str) -> T | None:
        row = self._kernel.store.load(stream)
        return cast("T", load(KINDS[kind], row.doc)) if row else None


def _told(facts: RunFacts, told: Reported) -> RunFacts:
    """What a harness said of the run; a total that is lower than what is known is an old one."""
    cost = max(facts.cost_usd, float(told.cost_usd or "0"))
    confidence = float(told.confidence) if told.confidence else facts.confidence
    return replace(facts, cost_usd=cost, confidence=confidence)
