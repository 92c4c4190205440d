"""Pages of a list: what one holds, and where the next begins."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from handfast.engine.kernel import Result
from handfast.storage.api import Query, StateRow, Store


@dataclass(frozen=True, slots=True)
class Page:
    """`next` goes into the next call's `after`; '' at the end."""

    items: list[Result]
    next: str


def cursor_of(after: str) -> tuple[int, int] | None:
    rank, _, opened = after.partition(".")
    return (int(rank), int(opened)) if rank.isdigit() and opened.isdigit() else None


def next_of(rows: list[StateRow], limit: int) -> str:
    return f"{rows[-1].rank}.{rows[-1].opened}" if len(rows) == limit else ""


def every(store: Store, query: Query) -> Iterator[StateRow]:
    """The rows that `query` finds, `query.limit` at a time. What is committed meanwhile may be missing."""
    while True:
        rows = store.find(query)
        yield from rows
        if len(rows) < query.limit:
            return
        query = replace(query, after=(rows[-1].rank, rows[-1].opened))
