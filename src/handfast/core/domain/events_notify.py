"""Facts about telling people: where they can be reached, what was sent to them, and what came of it."""

from dataclasses import dataclass
from datetime import datetime

from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.ids import ContactId, HandoffId, NoticeId, PersonId


@dataclass(frozen=True, slots=True)
class ContactAdded:
    """A way to reach a person. `channel` is email, slack, webhook or `service:NAME`; `takes` what goes
    there: urgent, all, digest or none. `address` and the `secret` of a webhook are bodies."""

    contact_id: ContactId
    person_id: PersonId
    channel: str
    address: BodyRef
    takes: str
    by: PersonId
    secret: BodyRef | None = None


@dataclass(frozen=True, slots=True)
class ContactChanged:
    contact_id: ContactId
    takes: str
    by: PersonId


@dataclass(frozen=True, slots=True)
class ContactRemoved:
    contact_id: ContactId
    by: PersonId


@dataclass(frozen=True, slots=True)
class SecretRotated:
    """Deliveries are signed with both secrets until `old_until`."""

    contact_id: ContactId
    secret: BodyRef
    old_until: datetime
    by: PersonId


@dataclass(frozen=True, slots=True)
class QuietSet:
    """When nothing but what is urgent goes out, in wall-clock time of `zone`, and how often a digest does.
    `days` count from Monday, 0; without any there are no quiet hours. Times are minutes of the day."""

    person_id: PersonId
    zone: str
    days: tuple[int, ...]
    start: int
    end: int
    digest_minutes: int
    by: PersonId


@dataclass(frozen=True, slots=True)
class NoticePlanned:
    """A person is told of a handoff in the form `presented_digest`. `due_at` is set while it is held back;
    `why` says what for. `handoff_id` is '' for a test. The link in it ends at `link_until`."""

    notice_id: NoticeId
    person_id: PersonId
    contact_id: ContactId
    channel: str
    link_until: datetime
    handoff_id: HandoffId = HandoffId("")
    presented_digest: str = ""
    asking: str = ""
    urgent: bool = False
    due_at: datetime | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class NoticeReleased:
    """What was held back is on its way."""

    notice_id: NoticeId


@dataclass(frozen=True, slots=True)
class NoticeDelivered:
    """The receiver's side took it. `delivery_id` is the outbox id, `reference` names it over there."""

    notice_id: NoticeId
    delivery_id: int
    attempt: int
    reference: str = ""


@dataclass(frozen=True, slots=True)
class NoticeFailed:
    """One attempt failed. It is tried again, but for the last one."""

    notice_id: NoticeId
    delivery_id: int
    attempt: int
    reason: BodyRef


@dataclass(frozen=True, slots=True)
class NoticeDropped:
    """It was not sent, because it was of no use any more."""

    notice_id: NoticeId
    why: str


@dataclass(frozen=True, slots=True)
class NoticeOpened:
    """Its link was used, which it can be once."""

    notice_id: NoticeId
    person_id: PersonId
