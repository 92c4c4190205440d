"""Notices as rows: who was told, through which channel, and what came of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from handfast.server.web.reading import Record, flag, moment, number, text

CHANNELS = {"email": "E-mail", "slack": "Slack", "webhook": "Webhook"}
# status → words, tone
STATUSES = {
    "held": ("Held back", "quiet"),
    "sending": ("On its way", "open"),
    "failing": ("Failed, tried again", "warn"),
    "given_up": ("Given up", "bad"),
    "delivered": ("Delivered", "good"),
    "dropped": ("Not sent", "quiet"),
}


@dataclass(frozen=True, slots=True)
class NoticeRow:
    """`note` says why it is held or was not sent, or the last error. Times are aware UTC."""

    handoff_id: str
    ask: str
    person: str
    channel: str
    words: str
    tone: str
    at: datetime | None
    due_at: datetime | None
    note: str
    attempts: int
    opened_at: datetime | None
    urgent: bool


def channel_word(channel: str) -> str:
    kind, _, name = channel.partition(":")
    return name if kind == "service" else CHANNELS.get(kind, kind)


def notice_rows(items: Iterable[Record]) -> tuple[NoticeRow, ...]:
    return tuple(_notice(item) for item in items)


def _notice(item: Record) -> NoticeRow:
    words, tone = STATUSES.get(text(item, "status"), ("Not known", "quiet"))
    delivered = text(item, "status") == "delivered"
    return NoticeRow(
        handoff_id=text(item, "handoff_id"),
        ask=text(item, "ask"),
        person=text(item, "person_name"),
        channel=channel_word(text(item, "channel")),
        words=words,
        tone=tone,
        at=moment(item, "at"),
        due_at=moment(item, "due_at"),
        note="" if delivered else text(item, "error") or text(item, "why"),
        attempts=number(item, "attempts") or 0,
        opened_at=moment(item, "opened_at"),
        urgent=flag(item, "urgent") is True,
    )
