"""One notice: a person told of one handoff through one contact. At least once, and its link opens once."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from handfast.core.domain import events_notify as e
from handfast.core.domain.errors import InvalidTransition, NotPermitted, StaleDecision
from handfast.core.domain.events import NoticeEvent
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.ids import ContactId, HandoffId, NoticeId, PersonId


class NoticeStatus(StrEnum):
    """`held` until quiet hours or a digest end; `sending` until the receiver took it."""

    HELD = "held"
    SENDING = "sending"
    DELIVERED = "delivered"
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Notice:
    """`attempt` and `error` are of the last attempt that failed. `at` is when it reached its status."""

    notice_id: NoticeId
    person_id: PersonId
    contact_id: ContactId
    channel: str
    status: NoticeStatus
    planned_at: datetime
    link_until: datetime
    at: datetime
    handoff_id: HandoffId = HandoffId("")
    presented_digest: str = ""
    asking: str = ""
    urgent: bool = False
    due_at: datetime | None = None
    why: str = ""
    delivery_id: int = 0
    attempt: int = 0
    error: BodyRef | None = None
    reference: str = ""
    opened_at: datetime | None = None


def evolve(state: Notice | None, event: NoticeEvent, at: datetime) -> Notice:
    """Fold one recorded event. `at` is the envelope's time."""
    if isinstance(event, e.NoticePlanned):
        return Notice(
            notice_id=event.notice_id,
            person_id=event.person_id,
            contact_id=event.contact_id,
            channel=event.channel,
            status=NoticeStatus.HELD if event.due_at else NoticeStatus.SENDING,
            planned_at=at,
            link_until=event.link_until,
            at=at,
            handoff_id=event.handoff_id,
            presented_digest=event.presented_digest,
            asking=event.asking,
            urgent=event.urgent,
            due_at=event.due_at,
            why=event.why,
        )
    if state is None:
        raise ValueError("a notice's first event must be notice.planned")
    match event:
        case e.NoticeReleased():
            return replace(state, status=NoticeStatus.SENDING, due_at=None, at=at)
        case e.NoticeDelivered():
            return replace(
                state,
                status=NoticeStatus.DELIVERED,
                at=at,
                delivery_id=event.delivery_id,
                attempt=event.attempt,
                reference=event.reference,
            )
        case e.NoticeFailed():
            return replace(
                state,
                at=at,
                delivery_id=event.delivery_id,
                attempt=event.attempt,
                error=event.reason,
            )
        case e.NoticeDropped():
            return replace(state, status=NoticeStatus.DROPPED, due_at=None, at=at, why=event.why)
        case e.NoticeOpened():
            return replace(state, opened_at=at)
        case _:
            assert_never(event)


def open_link(
    state: Notice, person_id: PersonId, current_digest: str, now: datetime
) -> list[NoticeEvent]:
    """Use the link up. Raises NotPermitted for another person, InvalidTransition for a used or expired
    one, StaleDecision when the handoff is not any more what the notice was about."""
    if state.person_id != person_id:
        raise NotPermitted(
            "this link was sent to somebody else",
            code="link_of_another",
            hint="Open the case from your own inbox, if you are asked.",
        )
    if state.opened_at is not None:
        raise InvalidTransition(
            "this link was used already; each opens the case once",
            code="link_used",
            hint="Open the case from the inbox.",
        )
    if now >= state.link_until:
        raise InvalidTransition(
            "this link has expired", code="link_expired", hint="Open the case from the inbox."
        )
    if current_digest != state.presented_digest:
        raise StaleDecision(
            "what is asked has changed since this link was sent",
            code="link_stale",
            hint="Open the case from the inbox and read it as it is now.",
        )
    return [e.NoticeOpened(state.notice_id, person_id)]
