"""What happened since a person last looked, and their rating of the package, for the case page."""

from dataclasses import dataclass
from datetime import datetime

from handfast.server.web.reading import Record, flag, mapping, moment, records, text, texts

# In the order of the page, as a reader names them.
LACKS = (
    ("ask", "what is asked"),
    ("what_will_happen", "what will happen"),
    ("why_now", "why now"),
    ("evidence", "evidence"),
    ("attempts", "what was tried"),
    ("brief", "the brief"),
    ("open_question", "what to decide"),
)


@dataclass(frozen=True, slots=True)
class Happened:
    at: datetime | None
    text: str
    who: str


@dataclass(frozen=True, slots=True)
class Looked:
    """`changed`: what is presented now is not what was seen then."""

    at: datetime | None
    entries: tuple[Happened, ...]
    changed: bool


@dataclass(frozen=True, slots=True)
class Rating:
    """`mine` is this person's rating in words; '' before they gave one. `lacks` are the parts to choose from."""

    mine: str
    lacks: tuple[tuple[str, str], ...] = LACKS


@dataclass(frozen=True, slots=True)
class SentBack:
    """The review that asked for changes, and what was changed since."""

    handoff_id: str
    by: str
    at: datetime | None
    reason: str
    diff: str


def sent_back_of(package: Record) -> SentBack | None:
    found = mapping(package, "since")
    if not text(found, "handoff_id"):
        return None
    return SentBack(
        text(found, "handoff_id"),
        text(found, "decided_by_name"),
        moment(found, "decided_at"),
        text(found, "reason"),
        text(found, "diff"),
    )


def looked_of(found: Record) -> Looked | None:
    """None for the first look."""
    if not found:
        return None
    entries = [
        Happened(moment(e, "at"), _said(e), text(e, "who")) for e in records(found, "entries", 50)
    ]
    return Looked(moment(found, "at"), tuple(entries), flag(found, "changed") is True)


def _said(entry: Record) -> str:
    return text(entry, "text") or text(entry, "type").replace(".", " ").replace("_", " ")


def rating_of(handoff: Record, person_id: str) -> Rating | None:
    """None for somebody who has no say on this package."""
    ratings = records(handoff, "ratings")
    mine = next((r for r in ratings if text(r, "person_id") == person_id), None)
    if mine is None:
        return Rating("") if person_id and person_id in texts(handoff, "raters") else None
    if flag(mine, "good"):
        return Rating("good")
    named = dict(LACKS)
    lacks = [named.get(each, each) for each in texts(mine, "lacks")]
    return Rating(f"lacking: {', '.join(lacks)}" if lacks else "lacking")
