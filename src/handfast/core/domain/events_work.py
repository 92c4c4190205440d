"""Facts about delegated work: tasks, runs and their recorded steps."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from handfast.core.domain.brief import Budget
from handfast.core.domain.containment import Containment
from handfast.core.domain.ids import AgentId, HandoffId, PersonId, RunId, RunnerId, StepId, TaskId
from handfast.core.domain.limit_facts import History


@dataclass(frozen=True, slots=True)
class BodyRef:
    """Points at content kept beside the log.

    `digest` is `hmac-sha256:` and the HMAC of the content under the body's own salt, so the log
    tells nothing of the content once the body and its salt are erased. `size` is in bytes.
    """

    body_id: str
    digest: str
    size: int
    media: str = "text/plain"


class Mode(StrEnum):
    OBSERVE = "observe"
    ENFORCE = "enforce"


class TaskOutcome(StrEnum):
    MERGED = "merged"
    REJECTED = "rejected"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


class RunOutcome(StrEnum):
    MERGED = "merged"
    REJECTED = "rejected"
    NEVER_STARTED = "never_started"
    FAILED = "failed"
    NOTHING_CHANGED = "nothing_changed"
    WITHDRAWN = "withdrawn"
    SESSION_OVER = "session_over"


@dataclass(frozen=True, slots=True)
class TaskCreated:
    """`brief` lies within the brief of its `parent`, where it has one."""

    task_id: TaskId
    repository: str
    target_branch: str
    base_commit: str
    brief: BodyRef
    brief_digest: str
    requested_by: PersonId = PersonId("")
    parent: TaskId = TaskId("")


@dataclass(frozen=True, slots=True)
class TaskClosed:
    task_id: TaskId
    outcome: TaskOutcome


@dataclass(frozen=True, slots=True)
class TaskReopened:
    """It is delegated once more: what was tried before stays with it."""

    task_id: TaskId
    by: PersonId = PersonId("")


@dataclass(frozen=True, slots=True)
class TaskPartMade:
    """A part of the task was delegated, with this much of its budget."""

    task_id: TaskId
    part: TaskId
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True, slots=True)
class TaskHeld:
    """A legal hold: until it is released no body of the task is erased, by nobody and no job."""

    task_id: TaskId
    by: PersonId
    reason: BodyRef


@dataclass(frozen=True, slots=True)
class TaskReleased:
    task_id: TaskId
    by: PersonId
    reason: BodyRef


@dataclass(frozen=True, slots=True)
class RunCreated:
    """A run waits for a runner (`command` set) or is a person's own session seen by the hook.

    `history` and `budget` are what its limits are measured against, fixed when it begins. Only a runner that
    has all `labels` takes it.
    """

    run_id: RunId
    agent_id: AgentId
    harness: str
    mode: Mode
    task_id: TaskId = TaskId("")
    command: BodyRef | None = None
    session_id: str = ""
    cwd: str = ""
    repository: str = ""
    runner_id: RunnerId = RunnerId("")
    contain: Containment | None = None  # None: ordered before there was a choice, so not contained
    history: History = field(default_factory=History)
    budget: Budget = field(default_factory=Budget)
    requested_by: PersonId = PersonId("")
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunLeased:
    run_id: RunId
    runner_id: RunnerId
    host: str
    epoch: int


@dataclass(frozen=True, slots=True)
class AgentStarted:
    """The agent process as the operating system names it; `pid_started_at` is in clock ticks.

    `containment` says in words what holds the agent, or why nothing does. `seat` is the runner whose
    worktree and session are the newest from now on.
    """

    run_id: RunId
    epoch: int
    pid: int
    pid_started_at: int
    boot_id: str
    worktree: str = ""
    branch: str = ""
    base_commit: str = ""
    session_id: str = ""
    containment: str = ""
    seat: RunnerId = RunnerId("")


@dataclass(frozen=True, slots=True)
class RunPaused:
    """The agent's process is gone or about to go; `snapshot_*` and `session` are what resumes. `seat` as in
    AgentStarted."""

    run_id: RunId
    epoch: int
    waiting_on: tuple[HandoffId, ...] = ()
    snapshot_ref: str = ""
    snapshot_commit: str = ""
    session: BodyRef | None = None
    reason: str = ""
    seat: RunnerId = RunnerId("")


@dataclass(frozen=True, slots=True)
class RunReady:
    """What the run waited for is settled; a runner may take it."""

    run_id: RunId
    handoff_id: HandoffId


@dataclass(frozen=True, slots=True)
class RunReleased:
    """Its runner gave it back, with what it had kept: another takes it at once, whatever the lease says."""

    run_id: RunId
    epoch: int
    reason: str = ""
    snapshot_ref: str = ""
    snapshot_commit: str = ""
    session: BodyRef | None = None
    seat: RunnerId = RunnerId("")


@dataclass(frozen=True, slots=True)
class AgentExited:
    run_id: RunId
    epoch: int
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    cost_usd: str = ""
    turns: int = 0
    duration_ms: int = 0
    output: BodyRef | None = None


@dataclass(frozen=True, slots=True)
class AgentNeverStarted:
    run_id: RunId
    epoch: int
    reason: str
    output: BodyRef | None = None


@dataclass(frozen=True, slots=True)
class RunEnded:
    run_id: RunId
    outcome: RunOutcome


@dataclass(frozen=True, slots=True)
class StepJudged:
    """A call of the agent and what policy said about it, before anything ran.

    `verdict` is `allow`, `wait`, `deny` or `observed` (would have been stopped, in observe mode).
    `facts` holds what else conditions saw of it (paths, changes, reversibility), where there was any.
    """

    run_id: RunId
    step_id: StepId
    key: str
    tool: str
    effect: str
    action_digest: str
    verdict: str
    risk: str = "low"
    rules: tuple[str, ...] = ()
    hazards: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()
    policy_digest: str = ""
    subagent: str = ""
    handoff_id: HandoffId = HandoffId("")
    call: BodyRef | None = None
    summary: BodyRef | None = None
    called_at: datetime | None = None
    facts: BodyRef | None = None


@dataclass(frozen=True, slots=True)
class StepFinished:
    """`repeat` counts how often in a row this very call failed with this very result; 0 when it did not."""

    run_id: RunId
    step_id: StepId
    exit_code: int | None = None
    failed: bool = False
    duration_ms: int = 0
    output: BodyRef | None = None
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class CoverageGap:
    """Something the product could not see: an auditor must know what was not watched."""

    run_id: RunId
    kind: str
    detail: str = ""
