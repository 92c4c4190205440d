"""The inbox around its rows: filters, saved views, collisions, what a pass over several cases did."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from handfast.server.web.frame import Context, Shell, context
from handfast.server.web.inbox_filters import EVERYTHING, HELD, Filters
from handfast.server.web.inbox_view import (
    NEEDS,
    NOTHING,
    audit_of,
    decided_rows,
    elsewhere,
    gathered,
    grouped,
    unattended_of,
)
from handfast.server.web.reading import Record, flag, records, text
from handfast.server.web.wording import KINDS, RISKS


@dataclass(frozen=True, slots=True)
class SavedView:
    """`current` is whether the page shows exactly this view."""

    name: str
    address: str
    current: bool


@dataclass(frozen=True, slots=True)
class Collision:
    """One file that the finished work of several runs changes. `works` are (handoff id, agent, ask)."""

    repository: str
    path: str
    works: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Collisions:
    """The first of `total`, among `compared` of the `waiting` finished works."""

    files: tuple[Record, ...] = ()
    total: int = 0
    compared: int = 0
    waiting: int = 0


NO_COLLISIONS = Collisions()


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around the rows. `views` are (name, address); `looked_at` rows were read for the page.
    `by_need` is how many wait in all, empty where that was not asked. `audits` are due, None where that was not
    looked up."""

    filters: Filters = EVERYTHING
    views: tuple[tuple[str, str], ...] = ()
    collisions: Collisions = NO_COLLISIONS
    looked_at: int = 0
    error: str = ""
    by_need: Mapping[str, int] = field(default_factory=dict)
    audits: tuple[Record, ...] | None = None


NOTHING_AROUND = Around()


def inbox_page(
    handoffs: Iterable[Record],
    *,
    shell: Shell,
    now: datetime,
    around: Around = NOTHING_AROUND,
    decided: Iterable[Record] = (),
    unattended: Record | None = None,
    after: str = "",
    next_after: str = "",
) -> Context:
    """For `inbox.html` and `_rows.html`. `handoffs` are the waiting ones, `decided` the latest others.

    `after` is the cursor of this page of the queue, `next_after` that of the next. `unattended` is
    `{calls, allowed, stopped, would_stop, runs, since}` and fills the empty state.
    """
    filters, met = around.filters, around.collisions
    paged = bool(after or next_after) and not filters.any
    groups = grouped(handoffs, now, around.by_need if paged else NOTHING)
    files = tuple(_collision(each) for each in met.files)
    return context(
        shell,
        now,
        nav="inbox",
        groups=groups,
        waiting=shell.waiting,
        elsewhere=elsewhere(groups, around.by_need) if paged else (),
        gathered=gathered(groups),
        after=after,
        next_after=next_after,
        looked_at=around.looked_at,
        filters=filters,
        views=tuple(SavedView(n, a, a == filters.address) for n, a in around.views),
        choices=_CHOICES,
        collisions=files,
        more_collisions=max(0, met.total - len(files)),
        met=met,
        decided=decided_rows(decided),
        unattended=unattended_of(unattended),
        audits=None if around.audits is None else tuple(map(audit_of, around.audits)),
        error=around.error,
        picks=sum(bool(row.pick) for g in groups for row in g.rows),
    )


_CHOICES = {
    "need": (("", "every need"), *((name, words[0]) for name, words in NEEDS.items())),
    "risk": (("", "every risk"), *((risk, f"{risk} risk") for risk in reversed(RISKS))),
    "kind": (("", "every kind"), *KINDS.items()),
    "held": tuple(HELD.items()),
}


def _collision(found: Record) -> Collision:
    works = tuple(
        (text(h, "handoff_id"), text(h, "agent_name"), text(h, "ask"))
        for h in records(found, "handoffs", 10)
    )
    root = text(found, "repository").rstrip("/").rpartition("/")[2]
    return Collision(root.removesuffix(".git"), text(found, "path"), works)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case of a pass over several."""

    handoff_id: str
    ask: str
    approved: bool
    why: str


def bulk_page(taken: Iterable[Record], *, shell: Shell, now: datetime, back: str) -> Context:
    """For `bulk.html`: each case with what became of it; `back` is the address of the inbox before."""
    rows = tuple(
        Outcome(
            text(row, "handoff_id"),
            text(row, "ask", "A case that could not be read"),
            flag(row, "approved") is True,
            text(row, "why"),
        )
        for row in taken
    )
    approved = sum(row.approved for row in rows)
    return context(shell, now, nav="inbox", rows=rows, approved=approved, back=back)
