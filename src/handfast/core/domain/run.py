"""A run: one agent's execution of a task, or a person's own session seen through the hook.

    queued → leased → running → paused ⇄ ready → … → ended

Only what is needed to decide is kept in the state, so it stays small however long the run:
open steps (judged, result not yet known) and counters. The steps themselves are events.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import assert_never

from handfast.core.domain import events_work as e
from handfast.core.domain import usage
from handfast.core.domain.brief import Budget
from handfast.core.domain.containment import Containment
from handfast.core.domain.errors import InvalidTransition, StaleEpoch
from handfast.core.domain.events import RunEvent
from handfast.core.domain.events_limits import UsageReported
from handfast.core.domain.events_work import BodyRef, Mode, RunCreated, RunOutcome
from handfast.core.domain.ids import AgentId, HandoffId, PersonId, RunId, RunnerId, TaskId
from handfast.core.domain.limit_facts import History
from handfast.core.domain.usage import LimitEvent, LimitState, Usage


class RunStatus(StrEnum):
    QUEUED = "queued"
    LEASED = "leased"
    RUNNING = "running"
    PAUSED = "paused"
    READY = "ready"
    EXITED = "exited"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class OpenStep:
    """A call whose result has not been heard yet."""

    step_id: str
    action_digest: str
    verdict: str
    handoff_id: str = ""
    start_id: str = ""


@dataclass(frozen=True, slots=True)
class Process:
    """The agent's process: enough to end it, and to never end another one with its number."""

    host: str
    pid: int
    started_at: int
    boot_id: str


@dataclass(frozen=True, slots=True)
class Counts:
    steps: int = 0
    reads: int = 0
    stopped: int = 0
    denied: int = 0
    would_stop: int = 0
    failed: int = 0
    gaps: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    run_id: RunId
    agent_id: AgentId
    harness: str
    mode: Mode
    status: RunStatus
    created_at: datetime
    task_id: TaskId = TaskId("")
    command: BodyRef | None = None
    session_id: str = ""
    cwd: str = ""
    repository: str = ""
    runner_id: RunnerId = RunnerId("")
    host: str = ""
    epoch: int = 0
    process: Process | None = None
    worktree: str = ""
    branch: str = ""
    base_commit: str = ""
    snapshot_ref: str = ""
    snapshot_commit: str = ""
    session: BodyRef | None = None
    waiting_on: tuple[HandoffId, ...] = ()
    ready_for: HandoffId = HandoffId("")
    counts: Counts = Counts()
    open_steps: Mapping[str, OpenStep] = field(default_factory=dict)
    cost_usd: str = "0"
    turns: int = 0
    duration_ms: int = 0
    exit_code: int | None = None
    exit_reason: str = ""
    output: BodyRef | None = None
    outcome: RunOutcome | None = None
    contain: Containment | None = None  # as ordered
    containment: str = ""  # what holds the agent, in words, since its last start
    history: History = field(default_factory=History)
    budget: Budget = field(default_factory=Budget)
    usage: Usage = field(default_factory=Usage)
    limits: LimitState = field(default_factory=LimitState)
    requested_by: PersonId = PersonId("")

    @property
    def root(self) -> str:
        """The repository it works on; for a session that named none, its folder."""
        return self.repository or self.cwd

    @property
    def over(self) -> bool:
        return self.status is RunStatus.ENDED


def evolve(state: Run | None, event: RunEvent, at: datetime) -> Run:
    """Fold one recorded event. `at` is the envelope's time."""
    if isinstance(event, RunCreated):
        return _created(event, at)
    if state is None:
        raise ValueError("a run's first event must be run.created")
    if isinstance(event, e.StepJudged | e.StepFinished | e.CoverageGap):
        return _step(state, event, at)
    if isinstance(event, LimitEvent):
        return _limited(state, event, at)
    return _lifecycle(state, event, at)


def _limited(state: Run, event: LimitEvent, at: datetime) -> Run:
    if isinstance(event, UsageReported):
        return replace(state, usage=usage.told(state.usage, event, at))
    return replace(state, limits=usage.limited(state.limits, event))


def _created(event: RunCreated, at: datetime) -> Run:
    return Run(
        run_id=event.run_id,
        agent_id=event.agent_id,
        harness=event.harness,
        mode=event.mode,
        status=RunStatus.QUEUED if event.command else RunStatus.RUNNING,
        created_at=at,
        task_id=event.task_id,
        command=event.command,
        session_id=event.session_id,
        cwd=event.cwd,
        repository=event.repository,
        runner_id=event.runner_id,
        contain=event.contain,
        history=event.history,
        budget=event.budget,
        usage=Usage() if event.command else usage.started(Usage(), at),
        requested_by=event.requested_by,
    )


_Lifecycle = (
    e.RunLeased
    | e.AgentStarted
    | e.RunPaused
    | e.RunReady
    | e.AgentExited
    | e.AgentNeverStarted
    | e.RunEnded
)


def _lifecycle(state: Run, event: _Lifecycle, at: datetime) -> Run:
    match event:
        case e.RunLeased():
            return replace(
                state,
                status=RunStatus.LEASED,
                runner_id=event.runner_id,
                host=event.host,
                epoch=event.epoch,
            )
        case e.AgentStarted():
            return _started(state, event, at)
        case e.RunPaused():
            return replace(
                state,
                status=RunStatus.PAUSED,
                waiting_on=event.waiting_on,
                ready_for=HandoffId(""),
                snapshot_ref=event.snapshot_ref or state.snapshot_ref,
                snapshot_commit=event.snapshot_commit or state.snapshot_commit,
                session=event.session or state.session,
                process=None,
                usage=usage.ended(state.usage, at),
            )
        case e.RunReady():
            return replace(state, status=RunStatus.READY, ready_for=event.handoff_id, waiting_on=())
        case e.AgentExited():
            return _exited(state, event, at)
        case e.AgentNeverStarted():
            return replace(
                state,
                status=RunStatus.EXITED,
                exit_reason=event.reason,
                output=event.output,
                process=None,
            )
        case e.RunEnded():
            return replace(
                state,
                status=RunStatus.ENDED,
                outcome=event.outcome,
                open_steps={},
                process=None,
                usage=usage.ended(state.usage, at),
            )
        case _:
            assert_never(event)


def _started(state: Run, event: e.AgentStarted, at: datetime) -> Run:
    return replace(
        state,
        status=RunStatus.RUNNING,
        process=Process(state.host, event.pid, event.pid_started_at, event.boot_id),
        worktree=event.worktree or state.worktree,
        branch=event.branch or state.branch,
        base_commit=event.base_commit or state.base_commit,
        session_id=event.session_id or state.session_id,
        containment=event.containment,
        ready_for=HandoffId(""),
        usage=usage.restarted(state.usage, at),
        # A new start tells the agent what people have said since the last one.
        limits=replace(state.limits, to_tell=HandoffId("")),
    )


def _exited(state: Run, event: e.AgentExited, at: datetime) -> Run:
    return replace(
        state,
        status=RunStatus.EXITED,
        process=None,
        exit_code=event.exit_code,
        exit_reason=event.reason,
        cost_usd=str(Decimal(state.cost_usd) + Decimal(event.cost_usd or "0")),
        turns=state.turns + event.turns,
        duration_ms=state.duration_ms + event.duration_ms,
        output=event.output,
        usage=replace(
            usage.ended(state.usage, at), costed=state.usage.costed or bool(event.cost_usd)
        ),
    )


def _step(state: Run, event: e.StepJudged | e.StepFinished | e.CoverageGap, at: datetime) -> Run:
    c = state.counts
    if isinstance(event, e.CoverageGap):
        return replace(state, counts=replace(c, gaps=c.gaps + 1))
    if isinstance(event, e.StepFinished):
        return _result(state, event, at)
    counts = replace(
        c,
        steps=c.steps + 1,
        reads=c.reads + int(event.effect == "read"),
        stopped=c.stopped + int(event.verdict == "wait"),
        denied=c.denied + int(event.verdict == "deny"),
        would_stop=c.would_stop + int(event.verdict == "observed"),
    )
    judged = replace(state, counts=counts, usage=usage.judged(state.usage, event, at))
    if event.verdict == "deny":
        told = bool(event.handoff_id) and event.handoff_id == state.limits.to_tell
        return (
            replace(judged, limits=replace(state.limits, to_tell=HandoffId(""))) if told else judged
        )
    if event.effect == "read":
        return judged
    step = OpenStep(event.step_id, event.action_digest, event.verdict, event.handoff_id)
    return replace(judged, open_steps=_bounded(state.open_steps, event.key, step))


def _result(state: Run, event: e.StepFinished, at: datetime) -> Run:
    steps = state.open_steps
    digest = next((s.action_digest for s in steps.values() if s.step_id == event.step_id), "")
    return replace(
        state,
        open_steps={k: s for k, s in steps.items() if s.step_id != event.step_id},
        counts=replace(state.counts, failed=state.counts.failed + int(event.failed)),
        usage=usage.finished(state.usage, event, digest, at),
    )


MAX_OPEN_STEPS = 32


def _bounded(steps: Mapping[str, OpenStep], key: str, step: OpenStep) -> dict[str, OpenStep]:
    """Keep the newest open steps: results of older ones never came and are shown as unknown.

    By their ids, which grow with time: a stored state comes back with its keys in another order.
    """
    others = sorted((s.step_id, k) for k, s in steps.items() if k != key)
    return {k: steps[k] for _, k in others[1 - MAX_OPEN_STEPS :]} | {key: step}


def check_epoch(state: Run, epoch: int) -> None:
    """Refuse a runner whose lease was taken over. Raises StaleEpoch."""
    if epoch != state.epoch:
        raise StaleEpoch(
            f"run `{state.run_id}` is at epoch {state.epoch}, the call carries {epoch}",
            hint="Another runner took this run over: stop the agent and let go of the run.",
            details={"epoch": state.epoch},
        )


def check_not_over(state: Run) -> None:
    if state.over:
        raise InvalidTransition(f"run `{state.run_id}` has ended", hint="Start a new run.")


def lease(state: Run, runner_id: RunnerId, host: str, *, expired: bool) -> list[RunEvent]:
    """Take a run. Refused while another lease holds; the epoch rises with every lease."""
    free = state.status in (RunStatus.QUEUED, RunStatus.READY)
    held = state.status in (RunStatus.LEASED, RunStatus.RUNNING, RunStatus.EXITED)
    if not free and not (held and expired):
        raise InvalidTransition(f"run `{state.run_id}` is {state.status.value}; nothing to lease")
    return [e.RunLeased(state.run_id, runner_id, host, state.epoch + 1)]


def ready(state: Run, handoff_id: HandoffId) -> list[RunEvent]:
    """A paused run goes on when what it waits for is settled."""
    if state.status is RunStatus.PAUSED and handoff_id in state.waiting_on:
        return [e.RunReady(state.run_id, handoff_id)]
    return []
