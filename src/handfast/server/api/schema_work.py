"""Requests and replies about tasks, runs and their steps."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from handfast.core.domain.action import Risk
from handfast.core.domain.containment import MAX_HOSTS, Contained
from handfast.core.domain.events_work import Mode, RunOutcome
from handfast.core.domain.limit_facts import Reported
from handfast.core.domain.package import Attempt
from handfast.server.api.schema_taken import TakeoverOut

_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
Id = Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9_]*$")]
Line = Annotated[str, StringConstraints(max_length=500, pattern=_PRINTABLE)]
Place = Annotated[str, StringConstraints(max_length=4096, pattern=_PRINTABLE)]
Digest = Annotated[str, StringConstraints(max_length=200, pattern=r"^[A-Za-z0-9:_-]*$")]
Lines = Annotated[tuple[Annotated[str, Field(max_length=4000)], ...], Field(max_length=500)]
Epoch = Annotated[int, Field(ge=0)]


class Asked(BaseModel):
    """A request. Unknown members are refused, so that a misspelt one is never silently lost."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Reply(BaseModel):
    """An answer. Clients ignore members they do not know."""

    model_config = ConfigDict(extra="ignore")


class TaskIn(Asked):
    """`brief` is checked member by member; the error names what is wrong and how to write it. With a `parent` it is
    narrowed to the parent's brief; a wider one is refused with the field named."""

    brief: dict[str, JsonValue]
    repository: Place
    target_branch: Line = "main"
    base_commit: Line = ""
    parent: Id = ""


class Created(Reply):
    """The id of what was made."""

    task_id: str = ""
    run_id: str = ""
    handoff_id: str = ""
    agent_id: str = ""


class ScopeOut(Reply):
    paths: list[str]
    tools: list[str]
    environments: list[str]


class BudgetOut(Reply):
    cost_usd: str
    tool_calls: int
    retries: int
    reasoning_s: int
    wall_s: int


class AttemptOut(Reply):
    tried: str
    outcome: str
    why: str
    run_id: str = ""
    at: str = ""


class BriefOut(Reply):
    intent: str
    acceptance: list[str] = []
    non_goals: list[str] = []
    scope: ScopeOut | None = None
    budget: BudgetOut | None = None
    risk: Risk = Risk.MEDIUM
    contacts: list[str] = []
    context: list[str] = []


class TaskOut(Reply):
    """`left` is what is left of the budget for one more part, by field; empty for a task without parts."""

    task_id: str
    repository: str
    target_branch: str
    base_commit: str = ""
    brief: BriefOut
    brief_digest: str
    created_at: str
    outcome: str | None = None
    held: bool = False
    parent: str = ""
    attempts: list[AttemptOut] = []
    left: dict[str, str] = {}


class TaskPage(Reply):
    items: list[TaskOut]
    next: str


class RunIn(Asked):
    """With `task_id` and `command`: work for a runner. With `session_id`: a session seen by the hook."""

    harness: Line = "claude-code"
    agent_id: Id = ""
    mode: Mode | None = None
    task_id: Id = ""
    command: Annotated[tuple[str, ...], Field(max_length=1000)] = ()
    session_id: Line = ""
    cwd: Place = ""
    repository: Place = ""
    runner_id: Line = ""
    contained: Contained | None = None
    allow_hosts: Annotated[tuple[Line, ...], Field(max_length=MAX_HOSTS)] = ()
    labels: Annotated[tuple[Line, ...], Field(max_length=100)] = ()


class RunCreated(Reply):
    run_id: str
    status: str
    mode: str


class CountsOut(Reply):
    steps: int
    reads: int
    stopped: int
    denied: int
    would_stop: int
    failed: int
    gaps: int


class ProcessOut(Reply):
    host: str
    pid: int
    started_at: int
    boot_id: str


class ContainOut(Reply):
    """What was ordered: `want` is auto, require or off."""

    want: str = Contained.AUTO.value
    hosts: list[str] = []


class RunSummary(Reply):
    run_id: str
    agent_id: str
    agent_name: str
    harness: str
    mode: str
    status: str
    created_at: str
    task_id: str = ""
    session_id: str = ""
    cwd: str = ""
    repository: str = ""
    runner_id: str = ""
    host: str = ""
    epoch: int = 0
    process: ProcessOut | None = None
    worktree: str = ""
    branch: str = ""
    base_commit: str = ""
    snapshot_ref: str = ""
    snapshot_commit: str = ""
    waiting_on: list[str] = []
    ready_for: str = ""
    counts: CountsOut
    cost_usd: str = "0"
    turns: int = 0
    duration_ms: int = 0
    exit_code: int | None = None
    exit_reason: str = ""
    outcome: str | None = None
    contain: ContainOut | None = None
    containment: str = ""
    labels: list[str] = []
    seat: str = ""
    held_by: str = ""
    held_by_name: str = ""
    held_since: str = ""


class UsageIn(Asked):
    """Totals of a run since its start. A total told lower than before does not fall."""

    cost_usd: Annotated[str, Field(max_length=40)] = ""
    tokens_in: Annotated[int, Field(ge=0, lt=2**53)] | None = None
    tokens_out: Annotated[int, Field(ge=0, lt=2**53)] | None = None
    reasoning_ms: Annotated[int, Field(ge=0, lt=2**53)] | None = None
    compactions: Annotated[int, Field(ge=0, lt=2**53)] | None = None
    context_fill: Annotated[str, Field(max_length=40)] = ""
    confidence: Annotated[str, Field(max_length=40)] = ""

    def reported(self) -> Reported:
        return Reported(**self.model_dump(include=set(UsageIn.model_fields)))


class UsageReportIn(UsageIn):
    """`turn_over`: the agent has finished its turn and waits for a person to say something."""

    turn_over: bool = False


class UsedOut(Reply):
    """One figure beside its limits, in words."""

    metric: str
    label: str
    used: str
    limit: str = ""


class LimitsOut(Reply):
    """`not_watched` names metrics with a limit whose figure is not known, so that nothing is said of them."""

    usage: list[UsedOut] = []
    not_watched: list[str] = []
    warnings: list[str] = []
    handoff_id: str = ""


class RunOut(RunSummary):
    """Everything about a run. `command` is the agent's command line."""

    command: list[str] | None = None
    output: str = ""
    session_body_id: str = ""
    brief: BriefOut | None = None
    brief_digest: str = ""
    target_branch: str = ""
    attempts: list[AttemptOut] = []
    limits: LimitsOut = LimitsOut()
    takeovers: list[TakeoverOut] = []


class RunPage(Reply):
    items: list[RunSummary]
    next: str


class StepOut(Reply):
    """A call of the agent. Members of the judgement are empty where only its result is on this page."""

    step_id: str
    key: str = ""
    at: str = ""
    tool: str = ""
    effect: str = ""
    verdict: str = ""
    risk: str = ""
    summary: str = ""
    command: str = ""
    hazards: list[str] = []
    opaque: list[str] = []
    rules: list[str] = []
    handoff_id: str = ""
    subagent: str = ""
    action_digest: str = ""
    finished: bool = False
    failed: bool | None = None
    exit_code: int | None = None
    duration_ms: int | None = None
    output: str = ""


class StepPage(Reply):
    items: list[StepOut]
    next: int


class LeaseIn(Asked):
    runner_id: Line
    host: Line
    capacity: Annotated[int, Field(ge=0)] = 1
    instance: Epoch = 0
    without: Annotated[tuple[Id, ...], Field(max_length=200)] = ()


class HeartbeatIn(Asked):
    runner_id: Line = ""
    epoch: Epoch


class Held(Reply):
    held: bool
    killed: bool = False
    taken_over: bool = False


class StartedIn(Asked):
    epoch: Epoch
    pid: int
    pid_started_at: int
    boot_id: Line = ""
    worktree: Place = ""
    branch: Line = ""
    base_commit: Line = ""
    session_id: Line = ""
    containment: Place = ""


class PausedIn(Asked):
    epoch: Epoch
    snapshot_ref: Line = ""
    snapshot_commit: Line = ""
    session_body_id: Id = ""
    waiting_on: tuple[Id, ...] = ()
    reason: Annotated[str, Field(max_length=2000)] = ""


class ExitedIn(Asked):
    epoch: Epoch
    exit_code: int | None = None
    signal: int | None = None
    reason: Annotated[str, Field(max_length=2000)] = ""
    cost_usd: Annotated[str, StringConstraints(pattern=r"^([0-9]{1,9}(\.[0-9]{1,12})?)?$")] = ""
    turns: Annotated[int, Field(ge=0)] = 0
    duration_ms: Annotated[int, Field(ge=0)] = 0
    output: str = ""
    output_body_id: Id = ""


class NeverStartedIn(Asked):
    epoch: Epoch
    reason: Annotated[str, Field(max_length=2000)]
    output: str = ""
    output_body_id: Id = ""


class EndedIn(Asked):
    epoch: Epoch | None = None
    outcome: RunOutcome


class SettleIn(Asked):
    epoch: Epoch | None = None


class GapIn(Asked):
    kind: Line
    detail: Line = ""


class RunMoved(Reply):
    run_id: str
    status: str = ""
    outcome: str = ""


class Doubts(Reply):
    """The handoffs opened about starts whose effect nobody saw."""

    doubts: list[str]


class EvidenceIn(Asked):
    claim: Annotated[str, Field(max_length=2000)]
    status: Literal["recorded", "unverified"] = "unverified"
    step_id: Id = ""
    result: Annotated[str, Field(max_length=2000)] = ""


class AttemptIn(Asked):
    tried: Annotated[str, Field(max_length=2000)]
    outcome: Annotated[str, Field(max_length=2000)]
    why: Annotated[str, Field(max_length=2000)] = ""

    def attempt(self) -> Attempt:
        return Attempt(self.tried, self.outcome, self.why)
