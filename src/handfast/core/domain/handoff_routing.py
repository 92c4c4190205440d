"""Who is asked when: levels, holding, freezing, and what time does by itself. No command here decides.

Every function is pure: state and command in, events out, or an error of the RejectedError branch.
"""

from datetime import datetime, timedelta

from handfast.core.domain import events_handoff as e
from handfast.core.domain.codec import format_time
from handfast.core.domain.errors import AlreadyDecided, InvalidTransition, UsageError
from handfast.core.domain.events import HandoffEvent
from handfast.core.domain.handoff import FINAL, GrantStatus, Handoff
from handfast.core.domain.ids import PersonId


def check_open(state: Handoff) -> None:
    """Raises AlreadyDecided, or InvalidTransition for what waits for nobody or is frozen."""
    if state.decision is not None:
        raise AlreadyDecided(
            f"handoff `{state.handoff_id}` was decided already: {state.decision.kind.value}",
            hint="Look at the case to see who decided and what happened.",
            details={
                "decided_by": state.decision.person_id,
                "decided_at": format_time(state.decision.at),
                "decision": state.decision.kind.value,
            },
        )
    if not state.waiting:
        raise InvalidTransition(
            f"handoff `{state.handoff_id}` is {state.status.value}; it waits for nobody"
        )
    check_not_frozen(state)


def check_not_frozen(state: Handoff) -> None:
    if state.frozen_at is not None:
        raise InvalidTransition(
            f"handoff `{state.handoff_id}` is frozen since {format_time(state.frozen_at)}",
            code="frozen",
            hint="The kill switch stopped it. It goes on, with the time that was left, when that ends.",
        )


def route(request: e.HandoffRequested, to: str, now: datetime) -> list[HandoffEvent]:
    """The first level. A handoff without levels is a mistake of the caller."""
    if not request.levels_s:
        raise UsageError("`levels_s` is empty: a handoff needs at least one level of people")
    due = now + timedelta(seconds=request.levels_s[0])
    return [e.HandoffRouted(request.handoff_id, 0, to, due)]


def acknowledge(state: Handoff, person_id: PersonId) -> list[HandoffEvent]:
    """Idempotent for the holder; refused while somebody else holds it."""
    check_open(state)
    if state.holder == person_id:
        return []
    if state.holder:
        raise InvalidTransition(
            f"handoff `{state.handoff_id}` is held by `{state.holder}`",
            hint="Ask them to release it, or decide it directly: the first decision wins.",
        )
    return [e.HandoffAcknowledged(state.handoff_id, person_id)]


def release(state: Handoff, person_id: PersonId) -> list[HandoffEvent]:
    check_open(state)
    if state.holder != person_id:
        raise InvalidTransition(f"handoff `{state.handoff_id}` is not held by you")
    return [e.HandoffReleased(state.handoff_id, person_id)]


def sweep(state: Handoff, now: datetime, to: str) -> list[HandoffEvent]:
    """What is due by itself: the next level, the end of the last one, or an unused grant's expiry.

    Silence never approves. A start without an effect is not handled here, because it opens a
    second handoff: see `engine.effects`.
    """
    due = state.next_due
    if due is None or now < due:
        return []
    if state.waiting:
        timed_out = e.LevelTimedOut(state.handoff_id, state.level)
        following = state.level + 1
        if following < len(state.levels_s):
            at = now + timedelta(seconds=state.levels_s[following])
            return [timed_out, e.HandoffRouted(state.handoff_id, following, to, at)]
        return [timed_out, e.HandoffExpired(state.handoff_id, state.level)]
    grant = state.grant
    if grant is not None and grant.status is GrantStatus.MINTED:
        return [
            e.GrantExpired(state.handoff_id, grant.grant_id),
            e.HandoffClosed(state.handoff_id, "grant_expired"),
        ]
    return []


def freeze(state: Handoff, reason: str = "") -> list[HandoffEvent]:
    """Stop its deadlines. Idempotent. A start that already happened is not frozen: it must be settled."""
    unused = state.grant is not None and state.grant.status is GrantStatus.MINTED
    if state.frozen_at is not None or not (state.waiting or unused):
        return []
    return [e.HandoffFrozen(state.handoff_id, reason)]


def thaw(state: Handoff) -> list[HandoffEvent]:
    """Let its deadlines go on, moved by the time it was frozen. Idempotent."""
    over = state.status in FINAL
    return [] if state.frozen_at is None or over else [e.HandoffThawed(state.handoff_id)]
