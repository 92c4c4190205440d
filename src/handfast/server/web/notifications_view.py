"""The page of a person's notifications: contacts, quiet hours, what was sent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from handfast.server.web.frame import SETTINGS, Context, Shell, context
from handfast.server.web.notices_view import channel_word, notice_rows
from handfast.server.web.reading import Record, mapping, number, records, text, texts

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
TAKES = {
    "all": "Everything, at once",
    "digest": "Urgent at once, the rest in a digest",
    "urgent": "Only what is urgent",
    "none": "Nothing",
}


_SAID = ("error", "secret", "code")
_TYPED = ("channel", "address", "takes", "start", "end", "zone", "digest_minutes")


@dataclass(frozen=True, slots=True)
class ContactRow:
    contact_id: str
    channel: str
    address: str
    takes: str
    webhook: bool
    secrets: int


def notifications_page(
    settings: Record,
    notices: Iterable[Record],
    *,
    shell: Shell,
    now: datetime,
    said: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
) -> Context:
    """For `notifications.html`. `said` is `{error}`, `{secret}`, `{code, expires_at}` or `{done}` of the form
    that was just sent, `typed` what a refused one held."""
    quiet = mapping(settings, "quiet")
    days = {number({"d": d}, "d") for d in _list(quiet.get("days"))}
    shown: dict[str, Any] = {
        "contacts": tuple(_contact(item) for item in records(settings, "contacts", 50)),
        "channels": [(c, channel_word(c)) for c in texts(settings, "channels") if c != "slack"],
        "slack": "slack" in texts(settings, "channels"),
        "takes": TAKES,
        "days": [(i, name, i in days) for i, name in enumerate(DAYS)],
        "quiet": quiet,
        "digest_minutes": number(settings, "digest_minutes") or 60,
        "notices": notice_rows(notices),
        "said": dict.fromkeys(_SAID, "") | dict(said or {}),
        "typed": dict.fromkeys(_TYPED, "") | dict(typed or {}),
    }
    return context(shell, now, nav="settings", sections=SETTINGS, section="notifications", **shown)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _contact(item: Record) -> ContactRow:
    channel = text(item, "channel")
    address = text(item, "address")
    return ContactRow(
        contact_id=text(item, "contact_id"),
        channel=channel_word(channel),
        address=address.replace(" ", " / ") if channel == "slack" else address,
        takes=text(item, "takes"),
        webhook=channel == "webhook",
        secrets=number(item, "secrets") or 0,
    )
