"""Requests and replies about notifications: contacts, quiet hours, what was sent and what came of it."""

from typing import Annotated, Literal

from pydantic import Field

from handfast.server.api.schema_proof import Proof
from handfast.server.api.schema_work import Line, Reply

TakesName = Literal["urgent", "all", "digest", "none"]
Address = Annotated[str, Field(max_length=2_000)]
Clock = Annotated[str, Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]


class ContactOut(Reply):
    """`takes` says what goes there; `secrets` is how many sign a webhook now."""

    contact_id: str
    channel: str
    address: str
    takes: str
    added_at: str
    secrets: int


class QuietOut(Reply):
    """`days` count from Monday, 0; without any there are no quiet hours."""

    zone: str
    days: list[int]
    start: str
    end: str


class NotificationsOut(Reply):
    """`channels` are those a contact may be added of."""

    person_id: str
    contacts: list[ContactOut]
    quiet: QuietOut
    digest_minutes: int
    channels: list[str]


class ContactIn(Proof):
    """`channel` is email, webhook or `service:NAME`. A Slack account is linked from Slack."""

    channel: Line
    address: Address
    takes: TakesName = "all"


class ContactMade(Reply):
    """`secret` is of a webhook. It is not shown again."""

    contact_id: str
    secret: str = ""


class ChangeIn(Proof):
    takes: TakesName


class QuietIn(Proof):
    """Times are wall-clock time of `zone`. What is urgent goes out in quiet hours too."""

    zone: Line = "UTC"
    days: Annotated[tuple[Annotated[int, Field(ge=0, le=6)], ...], Field(max_length=7)] = ()
    start: Clock = "00:00"
    end: Clock = "00:00"
    digest_minutes: Annotated[int, Field(ge=5, le=1440)] = 60


class SlackCode(Reply):
    """To be typed in Slack as `/handfast link CODE`; once, until `expires_at`."""

    code: str
    expires_at: str


class Planned(Reply):
    notice_id: str


class NoticeOut(Reply):
    """`status` is held (until `due_at`), sending, failing (tried again), given_up, delivered or dropped;
    `error` is of the last attempt that failed, `opened_at` when its link was used."""

    notice_id: str
    person_id: str
    person_name: str
    contact_id: str
    channel: str
    handoff_id: str
    status: str
    urgent: bool
    planned_at: str
    at: str
    due_at: str
    why: str
    attempts: int
    error: str
    delivery_id: int
    opened_at: str


class NoticeList(Reply):
    items: list[NoticeOut]
