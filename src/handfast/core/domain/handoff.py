"""The handoff: one question, one decision that wins, at most one start, one known or unknown effect.

    requested → routed ⇄ acknowledged → decided → resumed → closed
        └ incomplete      └ expired · superseded · withdrawn

`handoff_fold` folds events into this state; `handoff_routing`, `handoff_votes` and `handoff_commands`
turn commands into events or refuse them. None reads a clock or draws an id: they come in with the command.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from handfast.core.domain.events_handoff import (
    DecisionKind,
    EffectOutcome,
    Executor,
    HandoffKind,
)
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.ids import (
    AgentId,
    GrantId,
    HandoffId,
    PersonId,
    RunId,
    StartId,
    StepId,
    TaskId,
)
from handfast.core.domain.requirement import Requirement


class Status(StrEnum):
    REQUESTED = "requested"
    INCOMPLETE = "incomplete"
    ROUTED = "routed"
    ACKNOWLEDGED = "acknowledged"
    DECIDED = "decided"
    RESUMED = "resumed"
    CLOSED = "closed"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


WAITING = frozenset({Status.REQUESTED, Status.ROUTED, Status.ACKNOWLEDGED})
FINAL = frozenset(
    {Status.INCOMPLETE, Status.CLOSED, Status.SUPERSEDED, Status.WITHDRAWN, Status.EXPIRED}
)


class GrantStatus(StrEnum):
    MINTED = "minted"
    REDEEMED = "redeemed"
    SETTLED = "settled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Grant:
    grant_id: GrantId
    action_digest: str
    agent_id: AgentId
    run_id: RunId
    executor: Executor
    expires_at: datetime
    status: GrantStatus = GrantStatus.MINTED
    start_id: StartId = StartId("")
    redeemed_at: datetime | None = None
    settle_by: datetime | None = None
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    kind: DecisionKind
    person_id: PersonId
    at: datetime
    presented_digest: str
    auth: str
    reason: BodyRef | None = None
    edited_action: BodyRef | None = None
    edited_digest: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class EffectRecord:
    outcome: EffectOutcome
    at: datetime
    exit_code: int | None = None
    output: BodyRef | None = None
    executed_digest: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Handoff:
    handoff_id: HandoffId
    kind: HandoffKind
    status: Status
    risk: str
    agent_id: AgentId
    action_digest: str
    presented_digest: str
    package: BodyRef
    ask: BodyRef
    offered: tuple[DecisionKind, ...]
    levels_s: tuple[int, ...]
    requested_at: datetime
    run_id: RunId = RunId("")
    task_id: TaskId = TaskId("")
    step_id: StepId = StepId("")
    action: BodyRef | None = None
    executor: Executor = Executor.NONE
    blocking: bool = True
    rules: tuple[str, ...] = ()
    policy_digest: str = ""
    brief_digest: str = ""
    about: HandoffId = HandoffId("")
    requirement: Requirement = Requirement()
    level: int = 0
    due_at: datetime | None = None
    holder: PersonId = PersonId("")
    first_viewed_at: datetime | None = None
    missing: tuple[str, ...] = ()
    decision: Decision | None = None
    grant: Grant | None = None
    effect: EffectRecord | None = None
    outcome: str = ""
    frozen_at: datetime | None = None

    @property
    def waiting(self) -> bool:
        return self.status in WAITING

    @property
    def next_due(self) -> datetime | None:
        """When the sweep must look at this handoff again; None when nothing is due, or while frozen."""
        if self.frozen_at is not None:
            return None
        if self.waiting:
            return self.due_at
        if self.grant is None:
            return None
        if self.grant.status is GrantStatus.MINTED:
            return self.grant.expires_at
        return self.grant.settle_by if self.grant.status is GrantStatus.REDEEMED else None
