"""Folds recorded events into the state of a handoff."""

from datetime import datetime, timedelta
from typing import assert_never

from handfast.core.domain import events_checkpoint as k
from handfast.core.domain import events_handoff as e
from handfast.core.domain.copying import replace
from handfast.core.domain.events import HandoffEvent
from handfast.core.domain.events_handoff import DecisionKind, EffectOutcome, HandoffRequested
from handfast.core.domain.events_rating import HandoffAttended, HandoffRated
from handfast.core.domain.handoff import (
    NOBODY,
    USABLE,
    Decision,
    Deferral,
    Edit,
    EffectRecord,
    Grant,
    GrantStatus,
    Handoff,
    Rating,
    Status,
    Vote,
)
from handfast.core.domain.ids import HandoffId, PersonId


def evolve(state: Handoff | None, event: HandoffEvent, at: datetime) -> Handoff:
    """Fold one recorded event. `at` is the envelope's time."""
    if isinstance(event, HandoffRequested):
        return _opened(event, at)
    if state is None:
        raise ValueError("a handoff's first event must be handoff.requested")
    match event:
        case e.HandoffDecided() | e.HandoffOverridden() | e.HandoffAutoProceeded():
            return _decided(state, event, at)
        case e.HandoffVoted() | e.HandoffUnvoted() | e.HandoffEdited():
            return _voted(state, event, at)
        case e.GrantMinted() | e.GrantRedeemed() | e.EffectRecorded():
            return _executed(state, event, at)
        case e.GrantExpired() | e.GrantRevoked() | e.GrantReopened() | e.HandoffCarriedOver():
            return _changed(state, event)
        case k.HandoffDeferred() | e.HandoffRouted() | e.HandoffRerouted():
            return _asked(state, event, at)
        case e.HandoffAcknowledged() | e.HandoffReleased() | e.HandoffSnoozed():
            return _held(state, event, at)
        case (
            e.HandoffViewed()
            | e.HandoffCommented()
            | HandoffRated()
            | HandoffAttended()
            | e.LevelTimedOut()
            | e.GrantRefused()
        ):
            return _noted(state, event, at)
        case _:
            return _stopped(state, event, at)


_Ending = (
    e.HandoffReturned
    | e.HandoffClosed
    | e.HandoffSuperseded
    | e.HandoffWithdrawn
    | e.HandoffExpired
)


def _stopped(
    state: Handoff, event: e.HandoffFrozen | e.HandoffThawed | _Ending, at: datetime
) -> Handoff:
    if isinstance(event, e.HandoffFrozen | e.HandoffThawed):
        return _frozen(state, event, at)
    return _ended(state, event)


def _noted(state: Handoff, event: HandoffEvent, at: datetime) -> Handoff:
    if isinstance(event, HandoffRated):
        return _rated(state, event, at)
    first = isinstance(event, e.HandoffViewed) and not state.first_viewed_at
    return replace(state, first_viewed_at=at) if first else state


def _rated(state: Handoff, event: HandoffRated, at: datetime) -> Handoff:
    rating = Rating(event.person_id, event.good, at, event.lacks, event.note)
    others = tuple(r for r in state.ratings if r.person_id != event.person_id)
    return replace(state, ratings=(*others, rating))


def _asked(
    state: Handoff, event: k.HandoffDeferred | e.HandoffRouted | e.HandoffRerouted, at: datetime
) -> Handoff:
    """Whoever was asked before does not hold it any more."""
    if isinstance(event, k.HandoffDeferred):
        return _deferred(state, event, at)
    asked = replace(
        state,
        status=Status.ROUTED,
        due_at=event.due_at,
        holder=PersonId(""),
        snoozed_until=None,
        asked=event.to,
        asked_people=event.people,
        deferral=None,
        gathered=False,
        told=(),
    )
    if isinstance(event, e.HandoffRerouted):
        return asked
    return replace(
        asked,
        level=event.level,
        round=event.round,
        ends_at=event.ends_at,
        checkpoint_id=event.checkpoint_id or state.checkpoint_id,
        gathered=event.gathered,
        told=event.told,
    )


def _deferred(state: Handoff, event: k.HandoffDeferred, at: datetime) -> Handoff:
    waits = Deferral(
        people=event.people,
        since=at,
        rate_mils=event.rate_mils,
        cost_mils=event.cost_mils,
        per_day=event.per_day,
        sitting_s=event.sitting_s,
        stage=event.stage,
        planned=event.planned,
    )
    return replace(state, deferral=waits, stage=event.stage, due_at=event.open_by)


def _held(
    state: Handoff,
    event: e.HandoffAcknowledged | e.HandoffReleased | e.HandoffSnoozed,
    at: datetime,
) -> Handoff:
    """While somebody holds it no further level is asked; given back, its level has its time again."""
    match event:
        case e.HandoffAcknowledged():
            held = replace(state, status=Status.ACKNOWLEDGED, holder=event.person_id)
            return replace(held, due_at=state.deadline)
        case e.HandoffReleased():
            free = replace(state, status=Status.ROUTED, holder=PersonId(""), snoozed_until=None)
            if state.ends_at is None:
                return free
            again = at + timedelta(seconds=state.levels_s[state.level])
            return replace(free, due_at=min(again, state.ends_at))
        case e.HandoffSnoozed():
            return replace(state, snoozed_until=event.until)
        case _:
            assert_never(event)


def _voted(
    state: Handoff, event: e.HandoffVoted | e.HandoffUnvoted | e.HandoffEdited, at: datetime
) -> Handoff:
    if isinstance(event, e.HandoffEdited):
        return replace(
            state,
            votes=(),
            edit=Edit(
                event.person_id,
                event.edited_action,
                event.edited_digest,
                event.edited_text,
                event.edited_rules,
            ),
            editors=tuple(dict.fromkeys((*state.editors, event.person_id))),
            presented_digest=event.presented_digest,
            gathered=False,
            told=(),
        )
    others = tuple(v for v in state.votes if v.person_id != event.person_id)
    if isinstance(event, e.HandoffUnvoted):
        return replace(state, votes=others)
    vote = Vote(
        event.person_id, event.clauses, at, event.presented_digest, event.auth, event.reason
    )
    return replace(state, votes=(*others, vote))


def _frozen(state: Handoff, event: e.HandoffFrozen | e.HandoffThawed, at: datetime) -> Handoff:
    """Thawed, every deadline moves by the time that nothing could be done."""
    if isinstance(event, e.HandoffFrozen):
        return replace(state, frozen_at=at)
    if state.frozen_at is None:
        return state
    still = at - state.frozen_at
    grant = state.grant
    if grant is not None and grant.status in USABLE:
        grant = replace(grant, expires_at=grant.expires_at + still)
    due_at = state.due_at + still if state.due_at else None
    ends_at = state.ends_at + still if state.ends_at else None
    waits = state.deferral
    if waits is not None:
        waits = replace(waits, since=waits.since + still)
    return replace(
        state, frozen_at=None, due_at=due_at, ends_at=ends_at, grant=grant, deferral=waits
    )


def _ended(state: Handoff, event: _Ending) -> Handoff:
    """Approvals given so far end with a question nobody decided; the log keeps them."""
    if isinstance(event, e.HandoffClosed):
        return replace(state, status=Status.CLOSED, outcome=event.outcome)
    state = replace(state, votes=(), ends_at=None, snoozed_until=None, deferral=None)
    match event:
        case e.HandoffReturned():
            return replace(state, status=Status.INCOMPLETE, missing=event.missing, due_at=None)
        case e.HandoffSuperseded():
            into = event.by if event.why == "edited" else HandoffId("")
            over = replace(state, status=Status.SUPERSEDED, outcome="superseded", due_at=None)
            return replace(over, edited_into=into)
        case e.HandoffWithdrawn():
            return replace(state, status=Status.WITHDRAWN, outcome=event.reason, due_at=None)
        case e.HandoffExpired():
            outcome = event.outcome or NOBODY
            return replace(state, status=Status.EXPIRED, outcome=outcome, due_at=None)
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
        requested_by=event.requested_by,
        may_proceed=event.may_proceed,
        editor=event.editor,
        editors=(event.editor,) if event.editor else (),
        edited_text=event.edited_text,
        form_digest=event.form_digest,
        subagent=event.subagent,
        files=event.files,
        operand_texts=event.operand_texts,
        whole=event.whole,
    )


def _decided(
    state: Handoff,
    event: e.HandoffDecided | e.HandoffOverridden | e.HandoffAutoProceeded,
    at: datetime,
) -> Handoff:
    match event:
        case e.HandoffDecided():
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
        case e.HandoffOverridden():
            edit = state.edit
            decision = Decision(
                kind=DecisionKind.APPROVE_WITH_EDITS if edit else DecisionKind.APPROVE,
                person_id=event.person_id,
                at=at,
                presented_digest=event.presented_digest,
                auth=event.auth,
                reason=event.reason,
                edited_action=edit.action if edit else None,
                edited_digest=edit.digest if edit else "",
                edited_text=edit.text if edit else None,
                overridden=True,
            )
        case e.HandoffAutoProceeded():
            machine, seen = PersonId(""), state.presented_digest
            decision = Decision(DecisionKind.APPROVE, machine, at, seen, "policy", by_machine=True)
        case _:
            assert_never(event)
    decided = replace(state, status=Status.DECIDED, decision=decision)
    return replace(decided, due_at=None, ends_at=None, snoozed_until=None, deferral=None)


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
