"""Checks states: each is the fold of its stream, byte for byte, and every body an entry names is there."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from handfast.core.domain.codec import decode
from handfast.core.domain.errors import HandfastError, IntegrityError
from handfast.core.domain.events import from_bytes
from handfast.core.domain.events_work import BodyRef
from handfast.engine.database.report import Progress, Report
from handfast.engine.projections import BY_NAME, fold
from handfast.storage.api import EventRow, StateRow
from handfast.storage.copies import Row, Snapshot

EVENT = ("position", "stream", "version", "type", "data", "leaf")
STATE = (
    "stream", "kind", "version", "status", "doc", "task_id", "run_id", "agent_id", "match", "rank", "due_at",
    "opened",
)  # fmt: skip
SAID = ("digest", "size", "media")
REFERENCES = 400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What a fold may raise over entries that do not belong together.
_UNFOLDABLE = (
    HandfastError, LookupError, ValueError, TypeError, AttributeError, AssertionError, ArithmeticError,
)  # fmt: skip


def check_states(view: Snapshot, report: Report, told: Progress) -> None:
    """Reads every entry again, stream by stream, beside the states in the same order."""
    states = _Ahead(view.rows("state", STATE, ("stream",)))
    bodies = _Bodies(view, report)
    older = _made_by_an_older_fold(view)
    total, seen, folded = view.count("event"), 0, 0
    rows = view.rows("event", EVENT, ("stream", "version"))
    for stream, group in groupby(rows, key=lambda row: row[1]):
        counted = _Counted(group, bodies)
        for orphan in states.before(str(stream)):
            report.wrong("states", f"`{orphan[0]}` has a state and no entries")
        kept = str(stream).partition("/")[0] not in older
        if why := _why_wrong(counted, states.take(str(stream)), as_folded_now=kept):
            report.wrong("states", f"`{stream}`: {why}")
        folded += 1
        seen += counted.rest()
        if folded % 100 == 0:
            told("states", seen, total)
    for orphan in states.all():
        report.wrong("states", f"`{orphan[0]}` has a state and no entries")
    bodies.look_up()
    report.unchecked += [
        f"documents of `{kind}`: an older fold made them; the next start makes them again"
        for kind in sorted(older)
    ]
    report.checked["states"], report.checked["references to bodies"] = folded, bodies.seen


def _made_by_an_older_fold(view: Snapshot) -> set[str]:
    """The kinds whose states are folded again when a server starts: until then they may differ."""
    has_numbers = any(shape.name == "fold" for shape in view.shapes)
    rows = view.rows("fold", ("kind", "number")) if has_numbers else ()
    numbers = {str(kind): int(str(number)) for kind, number in rows}
    return {name for name, kind in BY_NAME.items() if numbers.get(name, 1) < kind.fold}


def _why_wrong(entries: "_Counted", stored: Row | None, *, as_folded_now: bool) -> str:
    try:
        made = fold(entries)
    except _UNFOLDABLE as e:
        return f"cannot be folded: {e}"
    if stored is None:
        return "has entries and no state"
    given = dict(zip(STATE, stored, strict=True))
    if given["opened"] != entries.first:
        return f"its state says it began at {given['opened']}, its first entry is {entries.first}"
    compared = STATE[:-1] if as_folded_now else ("stream", "kind", "version")
    wrong = [name for name in compared if given[name] != _column(made, name)]
    return f"its state is not the fold of its entries: {', '.join(wrong)}" if wrong else ""


def _column(made: StateRow, name: str) -> object:
    if name == "due_at":
        return (made.due_at - _EPOCH) // timedelta(microseconds=1) if made.due_at else None
    return getattr(made, name)


class _Counted:
    """The entries of one stream as they are read: checked against their own envelope and counted."""

    def __init__(self, rows: Iterator[Row], bodies: "_Bodies") -> None:
        self._rows, self._bodies = rows, bodies
        self.first, self._count = 0, 0

    def __iter__(self) -> Iterator[EventRow]:
        for row in self._rows:
            self._count += 1
            event = EventRow(*row)
            self.first = self.first or event.position
            recorded = from_bytes(event.data)
            if (recorded.stream, recorded.version, recorded.type) != (
                event.stream,
                event.version,
                event.type,
            ):
                raise IntegrityError(
                    f"entry {event.position} is filed under another stream or type"
                )
            self._bodies.named_in(event)
            yield event

    def rest(self) -> int:
        """How many entries there are, those that were not folded included."""
        return self._count + sum(1 for _ in self._rows)


class _Ahead:
    """Rows in order of their first column, one read ahead."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def before(self, stream: str) -> Iterator[Row]:
        while self._next is not None and str(self._next[0]).encode() < stream.encode():
            yield self._next
            self._next = next(self._rows, None)

    def take(self, stream: str) -> Row | None:
        if self._next is None or self._next[0] != stream:
            return None
        found, self._next = self._next, next(self._rows, None)
        return found

    def all(self) -> Iterator[Row]:
        while self._next is not None:
            yield self._next
            self._next = next(self._rows, None)


@dataclass(frozen=True, slots=True)
class _Reference:
    position: int
    body_id: str
    said: tuple[object, ...]


class _Bodies:
    """Looks up, some hundred at a time, the bodies that entries name."""

    def __init__(self, view: Snapshot, report: Report) -> None:
        self._view, self._report = view, report
        self._waiting: list[_Reference] = []
        self.seen = 0

    def named_in(self, event: EventRow) -> None:
        for body_id, said in references(json.loads(event.data)["data"]):
            self._waiting.append(_Reference(event.position, body_id, said))
        if len(self._waiting) >= REFERENCES:
            self.look_up()

    def look_up(self) -> None:
        wanted, self._waiting = self._waiting, []
        self.seen += len(wanted)
        while wanted:
            now, wanted = wanted[:REFERENCES], wanted[REFERENCES:]
            ids = sorted({r.body_id for r in now})
            rows = self._view.pick("body", "body_id", ids, ("body_id", *SAID))
            found = {row[0]: row[1:] for row in rows}
            for r in now:
                if r.body_id not in found:
                    self._report.wrong("bodies", f"`{r.body_id}` of entry {r.position} is missing")
                elif found[r.body_id] != r.said:
                    self._report.wrong(
                        "bodies", f"`{r.body_id}` is not the one that entry {r.position} names"
                    )


def references(value: object) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Id of every body that an entry's data names, and what the entry says of it: see `SAID`."""
    if isinstance(value, dict):
        if "body_id" in value and "digest" in value:
            ref = decode(BodyRef, value)
            yield ref.body_id, (ref.digest, ref.size, ref.media)
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)
