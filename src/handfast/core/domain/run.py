"""A run: one agent's execution of a task, or a person's own session seen through the hook.

    queued → leased → running → paused ⇄ ready → … → ended

Only what is needed to decide is kept in the state, so it stays small however long the run:
open steps (judged, result not yet known) and counters. The steps themselves are events.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from handfast.core.domain import events_work as e
from handfast.core.domain import takeover
from handfast.core.domain.brief import Budget
from handfast.core.domain.containment import Containment
from handfast.core.domain.errors import InvalidTransition, StaleEpoch
from handfast.core.domain.events import RunEvent
from handfast.core.domain.events_work import BodyRef, Mode, RunOutcome
from handfast.core.domain.ids import AgentId, HandoffId, PersonId, RunId, RunnerId, TaskId
from handfast.core.domain.limit_facts import History
from handfast.core.domain.usage import LimitState, Usage


class RunStatus(StrEnum):
    QUEUED = "queued"
    LEASED = "leased"
    RUNNING = "running"
    PAUSED = "paused"
    READY = "ready"
    EXITED = "exited"
    TAKEN_OVER = "taken_over"
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
    labels: tuple[str, ...] = ()  # a runner needs all of them
    seat: RunnerId = RunnerId("")  # the runner that has the newest worktree and session
    takeovers: takeover.Takeovers = ()  # the newest ones, oldest first

    @property
    def root(self) -> str:
        """The repository it works on; for a session that named none, its folder."""
        return self.repository or self.cwd

    @property
    def over(self) -> bool:
        return self.status is RunStatus.ENDED

    @property
    def held(self) -> takeover.Takeover | None:
        """By whom a person it is held, if by one."""
        return None if self.over else takeover.held(self.takeovers)


def void_again(state: Run, handoff_id: HandoffId) -> bool:
    """Whether a call that a take-over made void is asked about once more only because its session was resumed:
    the harness does that with the call it was paused at, before the agent has read a word."""
    if not state.takeovers or state.exit_reason != takeover.DEFERRED:
        return False
    return any(step.handoff_id == handoff_id for step in state.open_steps.values())


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
    """Take a run. Refused while another lease holds; the epoch rises with every lease.

    A run in a person's hands is taken only to hand its worktree over to them.
    """
    taken = state.held
    waits = taken is not None and taken.point is None
    free = state.status in (RunStatus.QUEUED, RunStatus.READY) or bool(
        waits and taken and taken.free
    )
    held = waits or state.status in (RunStatus.LEASED, RunStatus.RUNNING, RunStatus.EXITED)
    if not free and not (held and expired):
        raise InvalidTransition(f"run `{state.run_id}` is {state.status.value}; nothing to lease")
    return [e.RunLeased(state.run_id, runner_id, host, state.epoch + 1)]


def ready(state: Run, handoff_id: HandoffId) -> list[RunEvent]:
    """A paused run goes on when what it waits for is settled."""
    if state.status is RunStatus.PAUSED and handoff_id in state.waiting_on:
        return [e.RunReady(state.run_id, handoff_id)]
    return []
