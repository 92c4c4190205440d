"""The handoff: one question, one decision that wins, at most one start, one known or unknown effect.

    requested → routed ⇄ acknowledged → decided → resumed → closed
        └ incomplete      └ expired · superseded · withdrawn

`handoff_fold` folds events into this state; `handoff_routing`, `handoff_votes` and `handoff_commands`
turn commands into events or refuse them. None reads a clock or draws an id: they come in with the command.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from handfast.core.domain.events_checkpoint import Stage
from handfast.core.domain.events_handoff import (
    DecisionKind,
    EffectOutcome,
    Executor,
    HandoffKind,
)
from handfast.core.domain.events_rating import Part
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.grant_scope import Span
from handfast.core.domain.ids import (
    AgentId,
    CheckpointId,
    GrantId,
    HandoffId,
    PersonId,
    RunId,
    StartId,
    StepId,
    TaskId,
)
from handfast.core.domain.requirement import REVIEWERS, Requirement


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


NOBODY = "nobody answered"
REFUSED = f"{NOBODY}: refused"


class GrantStatus(StrEnum):
    """`minted`: a start may be taken. `redeemed`: one runs. `blocked`: one is in doubt, and others are left."""

    MINTED = "minted"
    REDEEMED = "redeemed"
    SETTLED = "settled"
    EXPIRED = "expired"
    BLOCKED = "blocked"
    REVOKED = "revoked"


# Starts of it may still be taken: at once, or when the doubt about the last one is settled.
USABLE = frozenset({GrantStatus.MINTED, GrantStatus.BLOCKED})


@dataclass(frozen=True, slots=True)
class Grant:
    """`used` of `uses` starts were taken, `before` of them before the last one, whose `start_id`, `step_id`,
    `started_by` and `epoch` these are."""

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
    uses: int = 1
    before: int = 0
    span: Span = Span.RUN
    step_id: StepId = StepId("")
    started_by: RunId = RunId("")

    @property
    def used(self) -> int:
        return self.before + (1 if self.start_id else 0)


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's approval. `clauses` are the indexes of the clauses that it counts for."""

    person_id: PersonId
    clauses: tuple[int, ...]
    at: datetime
    presented_digest: str
    auth: str
    reason: BodyRef | None = None


@dataclass(frozen=True, slots=True)
class Rating:
    """What one who decided on it thought of the package."""

    person_id: PersonId
    good: bool
    at: datetime
    lacks: tuple[Part, ...] = ()
    note: BodyRef | None = None


@dataclass(frozen=True, slots=True)
class Edit:
    """The form of the action that is put to a vote instead of the proposed one."""

    person_id: PersonId
    action: BodyRef
    digest: str
    text: BodyRef | None = None
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """`by_machine`: no person decided, `person_id` is ''. `overridden`: it took more than this person."""

    kind: DecisionKind
    person_id: PersonId
    at: datetime
    presented_digest: str
    auth: str
    reason: BodyRef | None = None
    edited_action: BodyRef | None = None
    edited_digest: str = ""
    answer: str = ""
    by_machine: bool = False
    overridden: bool = False
    edited_text: BodyRef | None = None


@dataclass(frozen=True, slots=True)
class EffectRecord:
    outcome: EffectOutcome
    at: datetime
    exit_code: int | None = None
    output: BodyRef | None = None
    executed_digest: str = ""
    note: str = ""
    use: int = 1


@dataclass(frozen=True, slots=True)
class Deferral:
    """It waits to be asked together with others. `since` moves on by the time it was frozen."""

    people: tuple[PersonId, ...]
    since: datetime
    rate_mils: int
    cost_mils: int
    per_day: int
    sitting_s: int
    stage: Stage
    planned: bool


@dataclass(frozen=True, slots=True)
class Handoff:
    """`effect` is of the last start, None while one runs; `earlier_effects` of the starts before it.

    `editor` wrote this form of the action in place of another one; `editors` are all who edited it.
    """

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
    requested_by: tuple[PersonId, ...] = ()
    may_proceed: bool = False
    votes: tuple[Vote, ...] = ()
    edit: Edit | None = None
    editors: tuple[PersonId, ...] = ()
    round: int = 0
    asked: str = REVIEWERS
    asked_people: tuple[PersonId, ...] = ()
    ends_at: datetime | None = None
    snoozed_until: datetime | None = None
    earlier_effects: tuple[EffectRecord, ...] = ()
    editor: PersonId = PersonId("")
    edited_text: BodyRef | None = None
    edited_into: HandoffId = HandoffId("")
    form_digest: str = ""
    target_commit: str = ""
    subagent: str = ""
    deferral: Deferral | None = None
    stage: Stage | None = None
    checkpoint_id: CheckpointId = CheckpointId("")
    gathered: bool = False
    told: tuple[PersonId, ...] = ()
    ratings: tuple[Rating, ...] = ()
    files: BodyRef | None = None
    operand_texts: BodyRef | None = None
    whole: BodyRef | None = None

    @property
    def waiting(self) -> bool:
        return self.status in WAITING

    @property
    def deadline(self) -> datetime | None:
        """When the whole time to decide is over; `due_at` may only be the end of a level."""
        return self.ends_at or self.due_at

    @property
    def to_tell(self) -> tuple[PersonId, ...]:
        """Whom it may interrupt now: nobody while it waits for a checkpoint, nobody again where they were told
        of another handoff of the same checkpoint. Every notification asks this first."""
        if not self.waiting or self.deferral is not None:
            return ()
        return self.told if self.gathered else self.asked_people

    def put_off(self, person_id: str, now: datetime) -> bool:
        """Whether this person holds it and does not want to see it yet."""
        later = self.snoozed_until is not None and now < self.snoozed_until
        return later and self.holder == person_id

    @property
    def next_due(self) -> datetime | None:
        """When the sweep must look at this handoff again; None when nothing is due, or while frozen."""
        if self.frozen_at is not None:
            return None
        if self.waiting:
            return self.due_at
        if self.grant is None:
            return None
        if self.grant.status in USABLE:
            return self.grant.expires_at
        return self.grant.settle_by if self.grant.status is GrantStatus.REDEEMED else None
