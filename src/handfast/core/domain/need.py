"""What a case that waits needs of a person: the groups of the queue, and their order.

Only the state of the case counts, never who reads it, so that the need can stand in the row that orders the
queue. An approval that may be given after one look is what `may_proceed` says of it: low risk, can be undone,
fully read. Approvals carry no claims; what carries some is of another kind, and is judged.
"""

from enum import StrEnum

from handfast.core.domain.events_handoff import HandoffKind
from handfast.core.domain.handoff import Handoff


class Need(StrEnum):
    """In the order of the queue."""

    JUDGE = "judge"
    STAMP = "stamp"
    ROUTE = "route"
    LATER = "later"
    BLOCKED = "blocked"


# A queue is ordered by need, then by risk: what a need takes up of the numbers, above any rank of a risk.
STRIDE = 10
PLACES = {need: place * STRIDE for place, need in enumerate(Need)}
_UNOWNED = frozenset({HandoffKind.TAKEOVER, HandoffKind.DELEGATION})


def need_of(h: Handoff) -> Need:
    """Of a case that waits."""
    if h.frozen_at is not None or not h.offered:
        return Need.BLOCKED
    if h.deferral is not None:
        return Need.LATER
    if h.kind in _UNOWNED:
        return Need.ROUTE
    small = h.kind is HandoffKind.APPROVAL and h.may_proceed and h.edit is None
    return Need.STAMP if small else Need.JUDGE


def need_at(rank: int) -> Need:
    """The need that a rank of the queue stands for."""
    return tuple(Need)[rank // STRIDE]
