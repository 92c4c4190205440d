"""What changed since an earlier form of a case was asked about or approved, for its page."""

import re
from dataclasses import dataclass, replace
from datetime import datetime

from markupsafe import Markup, escape

from handfast.core.domain.inert import inert
from handfast.server.web.diff import DiffView, parse_diff
from handfast.server.web.reading import Record, flag, mapping, moment, records, text, texts

MAX_CALL = 20_000
_WORDS = re.compile(r"\s+|\S+")


@dataclass(frozen=True, slots=True)
class OperandChange:
    """`before` and `after` are digests, or words where there is none. `diff` is the change itself, where it is
    known."""

    path: str
    before: str
    after: str
    diff: DiffView | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    title: str
    handoff_id: str
    decided_by: str
    decided_at: datetime | None
    before: Markup
    after: Markup
    moved: str
    operands: tuple[OperandChange, ...]
    digests: tuple[str, str]


def changed_of(handoff: Record, package: Record) -> Changed | None:
    """None where no earlier form is known."""
    found = mapping(package, "changed")
    if not text(found, "handoff_id"):
        return None
    approved = flag(found, "approved") is True
    before = text(found, "before")
    now = text(mapping(package, "what_will_happen"), "text") if before else ""
    return Changed(
        title="Changed since it was approved" if approved else "Changed since it was asked",
        handoff_id=text(found, "handoff_id"),
        decided_by=text(found, "decided_by_name"),
        decided_at=moment(found, "decided_at"),
        before=_marked(before, now, MAX_CALL),
        after=_marked(now, before, MAX_CALL),
        moved=text(found, "moved"),
        operands=tuple(
            OperandChange(text(o, "path"), _digest(o, "before"), _digest(o, "after"), _diff(o, n))
            for n, o in enumerate(records(found, "operands", 50), start=1)
        ),
        digests=(text(found, "before_digest"), text(handoff, "action_digest")),
    )


@dataclass(frozen=True, slots=True)
class StartApproved:
    """Who let a start happen that a case is about."""

    by: str
    at: datetime | None
    overridden: bool
    handoff_id: str


def start_approved(handoff: Record) -> StartApproved | None:
    """None where that is not known."""
    found = mapping(handoff, "approved")
    names = ", ".join(texts(found, "by_names", 20))
    if not names:
        return None
    overridden = flag(found, "overridden") is True
    return StartApproved(names, moment(found, "at"), overridden, text(found, "handoff_id"))


def _marked(said: str, other: str, limit: int) -> Markup:
    """`said`, inert, with the words marked that lie between the common start and end of both."""
    words, others = _WORDS.findall(said), _WORDS.findall(other)
    start = _shared(words, others)
    rest, of_other = words[start:], others[start:]
    end = _shared(rest[::-1], of_other[::-1])
    middle = rest[: len(rest) - end]
    if not middle or not start + end or len(said) > limit:
        return escape(inert(said, limit))
    parts = (words[:start], middle, rest[len(middle) :])
    return Markup("{}<mark>{}</mark>{}").format(*(inert("".join(part), limit) for part in parts))


def _shared(one: list[str], other: list[str]) -> int:
    """How many words both begin with."""
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )


def _diff(operand: Record, number: int) -> DiffView | None:
    """With a place of its own on the page, which may show another diff."""
    found = text(operand, "diff")
    if not found:
        return None
    view = parse_diff(found, open_all=True)
    files = tuple(
        replace(file, anchor=f"operand-{number}-{n}") for n, file in enumerate(view.files)
    )
    return replace(view, files=files)


def _digest(operand: Record, key: str) -> str:
    found = text(operand, key)
    return {"": "nothing depended on it", "missing": "not there"}.get(found, found)
