"""The audit trail as its page shows it: entries newest first, and what was checked of them."""

from dataclasses import dataclass
from datetime import datetime

from handfast.core.domain.events import WIRE
from handfast.server.web.frame import Context, Shell, context
from handfast.server.web.reading import Record, flag, number, read_time, text


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry. `link` is the page of what it is about, where there is one."""

    position: int
    at: datetime | None
    type: str
    words: str
    who: str
    who_type: str
    auth: str
    link: str
    stream: str
    version: int
    data: str
    intact: bool

    @property
    def about(self) -> str:
        """The id of what it is about, where that has a page."""
        return self.stream.partition("/")[2] if self.link else ""


@dataclass(frozen=True, slots=True)
class Check:
    """What the page verified while it was made."""

    good: bool
    sentence: str
    wrong: tuple[int, ...]
    size: int
    verifier: str
    note: str


@dataclass(frozen=True, slots=True)
class Search:
    """The form of the page, as it was sent."""

    types: str = ""
    stream: str = ""
    who: str = ""

    @property
    def any(self) -> bool:
        return bool(self.types or self.stream or self.who)


_PAGES = {"handoff": "/handoffs/", "run": "/runs/", "task": "/tasks/", "agent": "/agents/"}


def entry_row(entry: Record) -> EntryRow:
    """One entry of the log in one line, with its stored members behind it."""
    stream = text(entry, "stream")
    kind, _, item = stream.partition("/")
    name = text(entry, "type")
    return EntryRow(
        position=number(entry, "position") or 0,
        at=read_time(entry.get("at")),
        type=name,
        words=text(entry, "text"),
        who=text(entry, "who"),
        who_type=text(entry, "who_type"),
        auth=text(entry, "auth"),
        link=_PAGES.get(kind, "") + item if kind in _PAGES else "",
        stream=stream,
        version=number(entry, "version") or 0,
        data=text(entry, "data"),
        intact=flag(entry, "intact") is not False,
    )


def check_of(found: Record) -> Check:
    """In words: what was proved, and what that does not prove."""
    wrong = found.get("wrong")
    bad = tuple(p for p in wrong if isinstance(p, int)) if isinstance(wrong, list) else ()
    signed, size = flag(found, "signed") is True, number(found, "size") or 0
    proved = number(found, "proved") or 0
    if not signed:
        sentence = (
            "The head of the log is not signed by this log's key. Stop, and ask who changed it."
        )
    elif bad:
        places = ", ".join(f"{position:,}" for position in bad[:20])
        sentence = f"Entries that are not in the signed log as they stand here: {places}."
    else:
        sentence = (
            f"Checked now: the {proved:,} entries below are in the signed log of {size:,}, "
            "byte for byte."
        )
    return Check(
        good=signed and not bad,
        sentence=sentence,
        wrong=bad,
        size=size,
        verifier=text(found, "verifier"),
        note=text(found, "note"),
    )


@dataclass(frozen=True, slots=True)
class Found:
    """A page of entries. `before` is where it begins, `next_before` where an older one does, 0 for the end
    of the log and for its beginning; `scanned` entries were looked at."""

    entries: tuple[Record, ...]
    scanned: int
    before: int = 0
    next_before: int = 0


def audit_page(
    found: Found,
    *,
    shell: Shell,
    now: datetime,
    check: Record,
    search: Search,
    may_export: bool = False,
    error: str = "",
) -> Context:
    """For `audit.html`."""
    return context(
        shell,
        now,
        nav="audit",
        entries=tuple(entry_row(entry) for entry in found.entries),
        check=check_of(check),
        search=search,
        scanned=found.scanned,
        before=found.before,
        next_before=found.next_before,
        types=tuple(sorted(WIRE)),
        may_export=may_export,
        error=error,
    )
