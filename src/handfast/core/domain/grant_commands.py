"""What may be done to a grant after it was given, besides using it: taken back, or opened again after a doubt."""

from handfast.core.domain import events_handoff as e
from handfast.core.domain.errors import InvalidTransition
from handfast.core.domain.events import HandoffEvent
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.handoff import USABLE, GrantStatus, Handoff
from handfast.core.domain.ids import HandoffId, PersonId


def revoke(state: Handoff, person_id: PersonId, reason: BodyRef | None) -> list[HandoffEvent]:
    """Take back every start that has not been taken. A start that runs is not stopped by it.

    Raises InvalidTransition when nothing is left to take back.
    """
    grant = state.grant
    if grant is None:
        raise InvalidTransition(f"handoff `{state.handoff_id}` has no grant")
    revoked = e.GrantRevoked(state.handoff_id, grant.grant_id, person_id, reason)
    if grant.status in USABLE:
        return [revoked, e.HandoffClosed(state.handoff_id, "revoked")]
    if grant.status is GrantStatus.REDEEMED and grant.used < grant.uses:
        return [revoked]
    raise InvalidTransition(
        f"grant `{grant.grant_id}` is {grant.status.value}: nothing is left to revoke",
        hint="What ran already can only be undone: see `handfast undo`.",
    )


def reopen(state: Handoff, doubt: HandoffId) -> list[HandoffEvent]:
    """The doubt about a start was settled: the starts that are left may be taken. The doubtful one counts."""
    grant = state.grant
    if grant is None or grant.status is not GrantStatus.BLOCKED:
        return []
    return [e.GrantReopened(state.handoff_id, grant.grant_id, doubt)]
