"""The handoff: one question, one decision that wins, at most one start, one known or unknown effect.

    requested → routed ⇄ acknowledged → decided → resumed → closed
        └ incomplete      └ expired · superseded · withdrawn

`decide_*` functions turn a command into events or refuse it; `evolve` folds an event into state.
Neither reads a clock nor draws an id: `now` and ids come in with the command.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from handfast.core.domain import events_handoff as e
from handfast.core.domain.events import HandoffEvent
from handfast.core.domain.events_handoff import (
    DecisionKind,
    EffectOutcome,
    Executor,
    HandoffKind,
    HandoffRequested,
)
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.grant_scope import Span
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
    """`minted`: a start may be taken. `redeemed`: one runs. `blocked`: one is in doubt, and others are left."""

    MINTED = "minted"
    REDEEMED = "redeemed"
    SETTLED = "settled"
    EXPIRED = "expired"
    BLOCKED = "blocked"
    REVOKED = "revoked"


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
class Handoff:
    """`effect` is of the last start, None while one runs; `earlier_effects` of the starts before it."""

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
    earlier_effects: tuple[EffectRecord, ...] = ()
    editor: PersonId = PersonId("")
    edited_text: BodyRef | None = None
    edited_into: HandoffId = HandoffId("")
    form_digest: str = ""
    target_commit: str = ""
    subagent: str = ""

    @property
    def waiting(self) -> bool:
        return self.status in WAITING

    @property
    def next_due(self) -> datetime | None:
        """When the sweep must look at this handoff again; None when nothing is due."""
        if self.waiting:
            return self.due_at
        if self.grant is None:
            return None
        if self.grant.status in (GrantStatus.MINTED, GrantStatus.BLOCKED):
            return self.grant.expires_at
        return self.grant.settle_by if self.grant.status is GrantStatus.REDEEMED else None


def evolve(state: Handoff | None, event: HandoffEvent, at: datetime) -> Handoff:
    """Fold one recorded event. `at` is the envelope's time."""
    if isinstance(event, HandoffRequested):
        return _opened(event, at)
    if state is None:
        raise ValueError("a handoff's first event must be handoff.requested")
    match event:
        case e.HandoffDecided():
            return _decided(state, event, at)
        case e.GrantMinted() | e.GrantRedeemed() | e.EffectRecorded():
            return _executed(state, event, at)
        case e.GrantExpired() | e.GrantRevoked() | e.GrantReopened() | e.HandoffCarriedOver():
            return _changed(state, event)
        case e.HandoffViewed():
            return state if state.first_viewed_at else replace(state, first_viewed_at=at)
        case e.HandoffCommented() | e.LevelTimedOut() | e.GrantRefused():
            return state
        case e.HandoffRouted() | e.HandoffAcknowledged() | e.HandoffReleased():
            return _routed(state, event)
        case _:
            return _ended(state, event)


_Routing = e.HandoffRouted | e.HandoffAcknowledged | e.HandoffReleased
_Ending = (
    e.HandoffReturned
    | e.HandoffClosed
    | e.HandoffSuperseded
    | e.HandoffWithdrawn
    | e.HandoffExpired
)


def _routed(state: Handoff, event: _Routing) -> Handoff:
    match event:
        case e.HandoffRouted():
            return replace(
                state,
                status=Status.ROUTED,
                level=event.level,
                due_at=event.due_at,
                holder=PersonId(""),
            )
        case e.HandoffAcknowledged():
            return replace(state, status=Status.ACKNOWLEDGED, holder=event.person_id)
        case e.HandoffReleased():
            return replace(state, status=Status.ROUTED, holder=PersonId(""))
        case _:
            assert_never(event)


def _ended(state: Handoff, event: _Ending) -> Handoff:
    match event:
        case e.HandoffClosed():
            return replace(state, status=Status.CLOSED, outcome=event.outcome)
        case e.HandoffReturned():
            return replace(state, status=Status.INCOMPLETE, missing=event.missing, due_at=None)
        case e.HandoffSuperseded():
            into = event.by if event.why == "edited" else HandoffId("")
            return replace(
                state,
                status=Status.SUPERSEDED,
                outcome="superseded",
                due_at=None,
                edited_into=into,
            )
        case e.HandoffWithdrawn():
            return replace(state, status=Status.WITHDRAWN, outcome=event.reason, due_at=None)
        case e.HandoffExpired():
            return replace(state, status=Status.EXPIRED, outcome="nobody answered", due_at=None)
        case _:
            assert_never(event)


def _opened(event: HandoffRequested, at: datetime) -> Handoff:
    return Handoff(
        handoff_id=event.handoff_id,
        kind=event.kind,
        status=Status.REQUESTED,
        risk=event.risk,
        agent_id=event.agent_id,
        action_digest=event.action_digest,
        presented_digest=event.presented_digest,
        package=event.package,
        ask=event.ask,
        offered=event.offered,
        levels_s=event.levels_s,
        requested_at=at,
        run_id=event.run_id,
        task_id=event.task_id,
        step_id=event.step_id,
        action=event.action,
        executor=event.executor,
        blocking=event.blocking,
        rules=event.rules,
        policy_digest=event.policy_digest,
        brief_digest=event.brief_digest,
        about=event.about,
        requirement=event.requirement,
        editor=event.editor,
        edited_text=event.edited_text,
        form_digest=event.form_digest,
        subagent=event.subagent,
    )


def _decided(state: Handoff, event: e.HandoffDecided, at: datetime) -> Handoff:
    decision = Decision(
        kind=event.decision,
        person_id=event.person_id,
        at=at,
        presented_digest=event.presented_digest,
        auth=event.auth,
        reason=event.reason,
        edited_action=event.edited_action,
        edited_digest=event.edited_digest,
        answer=event.answer,
        edited_text=event.edited_text,
    )
    return replace(state, status=Status.DECIDED, decision=decision, due_at=None)


def _executed(
    state: Handoff, event: e.GrantMinted | e.GrantRedeemed | e.EffectRecorded, at: datetime
) -> Handoff:
    if isinstance(event, e.GrantMinted):
        grant = Grant(
            event.grant_id,
            event.action_digest,
            event.agent_id,
            event.run_id,
            event.executor,
            event.expires_at,
            uses=event.uses,
            span=event.span,
        )
        return replace(state, grant=grant)
    if isinstance(event, e.EffectRecorded):
        return _settled(state, event, at)
    if state.grant is None:
        raise ValueError("a grant was used that was never minted")
    used = replace(
        state.grant,
        status=GrantStatus.REDEEMED,
        start_id=event.start_id,
        redeemed_at=at,
        settle_by=event.settle_by,
        epoch=event.epoch,
        before=event.use - 1,
        step_id=event.step_id,
        started_by=event.run_id,
    )
    before = (state.effect,) if state.effect else ()
    return replace(
        state,
        grant=used,
        status=Status.RESUMED,
        effect=None,
        earlier_effects=(*state.earlier_effects, *before),
    )


def _settled(state: Handoff, event: e.EffectRecorded, at: datetime) -> Handoff:
    """The end of one start. While others are left the grant goes on, unless nobody knows what this one did."""
    grant = state.grant
    use = grant.used if grant else 1
    effect = EffectRecord(
        event.outcome, at, event.exit_code, event.output, event.executed_digest, event.note, use
    )
    if grant is None:
        return replace(state, effect=effect)
    if grant.used >= grant.uses:
        return replace(state, effect=effect, grant=replace(grant, status=GrantStatus.SETTLED))
    unknown = event.outcome is EffectOutcome.UNKNOWN
    left = replace(grant, status=GrantStatus.BLOCKED if unknown else GrantStatus.MINTED)
    return replace(state, effect=effect, grant=left, status=Status.DECIDED)


_GrantChange = e.GrantExpired | e.GrantRevoked | e.GrantReopened | e.HandoffCarriedOver


def _changed(state: Handoff, event: _GrantChange) -> Handoff:
    grant = state.grant
    if grant is None:
        raise ValueError("a grant was changed that was never minted")
    match event:
        case e.GrantExpired():
            return replace(state, grant=replace(grant, status=GrantStatus.EXPIRED))
        case e.HandoffCarriedOver():
            carried = replace(grant, action_digest=event.action_digest)
            return replace(state, grant=carried, target_commit=event.new_target)
        case e.GrantReopened():
            return replace(state, grant=replace(grant, status=GrantStatus.MINTED))
        case e.GrantRevoked():
            running = grant.status is GrantStatus.REDEEMED
            status = GrantStatus.REDEEMED if running else GrantStatus.REVOKED
            return replace(state, grant=replace(grant, status=status, uses=max(grant.used, 1)))
        case _:
            assert_never(event)


def due_after(levels_s: tuple[int, ...], level: int, now: datetime) -> datetime:
    return now + timedelta(seconds=levels_s[level])
