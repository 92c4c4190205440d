"""Folds recorded events into the state of a handoff."""

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from handfast.core.domain import events_handoff as e
from handfast.core.domain.events import HandoffEvent
from handfast.core.domain.events_handoff import HandoffRequested
from handfast.core.domain.handoff import (
    Decision,
    EffectRecord,
    Grant,
    GrantStatus,
    Handoff,
    Status,
)
from handfast.core.domain.ids import PersonId


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
        case e.HandoffFrozen():
            return replace(state, frozen_at=at)
        case e.HandoffThawed():
            return _thawed(state, at)
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


def _thawed(state: Handoff, at: datetime) -> Handoff:
    """Every deadline moves by the time that nothing could be done."""
    if state.frozen_at is None:
        return state
    still = at - state.frozen_at
    grant = state.grant
    if grant is not None and grant.status is GrantStatus.MINTED:
        grant = replace(grant, expires_at=grant.expires_at + still)
    due_at = state.due_at + still if state.due_at else None
    return replace(state, frozen_at=None, due_at=due_at, grant=grant)


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
