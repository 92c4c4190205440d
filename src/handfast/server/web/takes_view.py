"""What a decision takes and how far it is, as the case page shows it."""

from dataclasses import dataclass
from datetime import datetime

from handfast.core.domain.inert import inert
from handfast.server.web.reading import Record, flag, mapping, moment, number, records, text, texts
from handfast.server.web.wording import WAITING

MAX_NAMES = 8
_NOUNS = {"question": "answer", "doubt": "answer", "escalation": "decision"}


@dataclass(frozen=True, slots=True)
class ClauseView:
    """One part of what it takes, with who gave it and who still can."""

    needed: str
    approved_by: str
    missing: int
    could: str
    nobody: bool


@dataclass(frozen=True, slots=True)
class Takes:
    """`voted` and `holds` are about the reader; `could` names everybody whose decision still counts, once."""

    in_words: str
    could: str
    clauses: tuple[ClauseView, ...]
    apart: bool
    asked: str
    level: str
    next_to: str
    next_at: datetime | None
    ends_at: datetime | None
    silence: str
    requested_by: str
    edited_by: str
    edited_command: str
    frozen: bool
    waiting: bool
    voted: bool
    holds: bool
    more_than_one: bool


def takes_of(handoff: Record, reader_id: str = "") -> Takes | None:
    """None where the record does not say."""
    takes = mapping(handoff, "takes")
    given = records(takes, "clauses", 50)
    noun = _NOUNS.get(text(handoff, "kind"), "approval")
    asked = texts(takes, "asked_people")
    clauses = tuple(_clause(item, noun, asked if len(given) == 1 else []) for item in given)
    if not clauses:
        return None
    following = mapping(takes, "next")
    votes = records(takes, "votes")
    return Takes(
        in_words=text(takes, "in_words"),
        could=_names(list(dict.fromkeys(n for item in given for n in texts(item, "could")))),
        clauses=clauses,
        apart=any(flag(item, "separate") for item in given),
        asked=_asked(takes),
        level=_level(takes),
        next_to=text(following, "to"),
        next_at=moment(following, "at"),
        ends_at=moment(takes, "ends_at"),
        silence=text(takes, "silence_means"),
        requested_by=_names(texts(takes, "requested_by")),
        edited_by=text(handoff, "edited_by"),
        edited_command=_edited(handoff),
        frozen=flag(handoff, "frozen") is True,
        waiting=text(handoff, "status") in WAITING,
        voted=bool(reader_id) and any(text(v, "by") == reader_id for v in votes),
        holds=bool(reader_id) and text(handoff, "holder") == reader_id,
        more_than_one=sum(number(c, "approvals") or 0 for c in given) > 1,
    )


def _clause(item: Record, noun: str, asked: list[str]) -> ClauseView:
    """Who can still decide is not said twice: not where it is who was asked."""
    n = number(item, "approvals") or 1
    who = " or ".join(texts(item, "audience"))
    could = texts(item, "could")
    return ClauseView(
        needed=f"{n} {noun}{'' if n == 1 else 's'} of {who}",
        approved_by=_names(texts(item, "approved_by")),
        missing=number(item, "missing") or 0,
        could="" if set(could) == set(asked) else _names(could),
        nobody=not could,
    )


def _asked(takes: Record) -> str:
    people = _names(texts(takes, "asked_people"))
    return f"{text(takes, 'asked')} ({people})" if people else text(takes, "asked")


def _level(takes: Record) -> str:
    level, levels = number(takes, "level") or 1, number(takes, "levels") or 1
    again = number(takes, "round") or 0
    if again:
        return f"asked again, {again} time{'' if again == 1 else 's'}"
    return f"level {level} of {levels}" if levels > 1 else ""


def _names(names: list[str]) -> str:
    shown = [inert(name, 60, multiline=False) for name in names[:MAX_NAMES]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _edited(handoff: Record) -> str:
    """The command that is put to the others, or the new content of a file."""
    command = text(mapping(mapping(handoff, "edited_call"), "arguments"), "command")
    return command or (text(handoff, "edited_text") if text(handoff, "edited_by") else "")
