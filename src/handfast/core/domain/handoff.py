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
        if self.grant.status is GrantStatus.MINTED:
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
        case e.GrantMinted() | e.GrantRedeemed() | e.GrantExpired() | e.EffectRecorded():
            return _executed(state, event, at)
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
            return replace(state, status=Status.SUPERSEDED, outcome="superseded", due_at=None)
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
    )
    return replace(state, status=Status.DECIDED, decision=decision, due_at=None)


def _executed(
    state: Handoff,
    event: e.GrantMinted | e.GrantRedeemed | e.GrantExpired | e.EffectRecorded,
    at: datetime,
) -> Handoff:
    if isinstance(event, e.GrantMinted):
        grant = Grant(
            event.grant_id,
            event.action_digest,
            event.agent_id,
            event.run_id,
            event.executor,
            event.expires_at,
        )
        return replace(state, grant=grant)
    if isinstance(event, e.EffectRecorded):
        effect = EffectRecord(
            event.outcome, at, event.exit_code, event.output, event.executed_digest, event.note
        )
        settled = replace(state.grant, status=GrantStatus.SETTLED) if state.grant else None
        return replace(state, effect=effect, grant=settled)
    if state.grant is None:
        raise ValueError("a grant was used that was never minted")
    if isinstance(event, e.GrantExpired):
        return replace(state, grant=replace(state.grant, status=GrantStatus.EXPIRED))
    used = replace(
        state.grant,
        status=GrantStatus.REDEEMED,
        start_id=event.start_id,
        redeemed_at=at,
        settle_by=event.settle_by,
        epoch=event.epoch,
    )
    return replace(state, grant=used, status=Status.RESUMED)


def due_after(levels_s: tuple[int, ...], level: int, now: datetime) -> datetime:
    return now + timedelta(seconds=levels_s[level])
