"""What commands print. Everything passes through `inert`, whoever wrote it: no text reaches a terminal
that could move the cursor, hide or imitate other text."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, TypeAlias

from cyclopts import Parameter

from handfast.core.domain.diff_parts import MAX_CHARS
from handfast.core.domain.inert import inert

if TYPE_CHECKING:
    from rich.table import Table

Json: TypeAlias = Annotated[
    bool, Parameter(name="--json", negative=(), help="Print one JSON document instead of text.")
]
# What a person decides on is printed whole, with its hidden characters written out.
MAX_TEXT = 2 * MAX_CHARS
_CELL = 200


def shown(text: object, limit: int = MAX_TEXT) -> str:
    """Several lines of anybody's text, inert."""
    return inert(str(text), limit)


def cell(text: object, limit: int = _CELL) -> str:
    """One line of anybody's text, inert."""
    return inert(" ".join(str(text).split()), limit, multiline=False)


def say(text: object = "") -> None:
    print(shown(text))


def note(text: object) -> None:
    """Something for the person at the terminal, not for the next program in the pipe."""
    print(shown(text), file=sys.stderr)


def say_json(document: object) -> None:
    """One document on one line; every character beyond ASCII is escaped."""
    print(json.dumps(document, default=str))


def say_json_list(document: Mapping[str, object], name: str, items: Iterable[object]) -> None:
    """`say_json` of `document` with the list `name` in it, whose items are printed as they come."""
    head = json.dumps(document, default=str)[:-1]
    print(f"{head}{', ' if document else ''}{json.dumps(name)}: [", end="")
    between = ""
    for item in items:
        print(between, json.dumps(item, default=str), sep="", end="")
        between = ", "
    print("]}")


def show_fields(fields: Mapping[str, object]) -> None:
    """`name  value` lines; empty values are left out."""
    kept = {k: v for k, v in fields.items() if v not in ("", None, [], ())}
    width = max((len(k) for k in kept), default=0)
    for name, value in kept.items():
        first, *rest = shown(value).splitlines() or [""]
        print(f"{name:<{width}}  {first}")
        for line in rest:
            print(f"{'':<{width}}  {line}")


def show_table(heads: Sequence[str], rows: Iterable[Sequence[object]], empty: str = "") -> None:
    """A table fitted to the terminal; elsewhere tab-separated lines, which other programs can cut."""
    cells = [[cell(value) for value in row] for row in rows]
    if not cells and empty and sys.stdout.isatty():
        print(empty)
        return
    if not sys.stdout.isatty():
        for line in [heads, *cells]:
            print("\t".join(line))
        return
    from rich.console import Console

    Console().print(rich_table(heads, cells))


def rich_table(heads: Sequence[str], cells: Iterable[Sequence[str]]) -> "Table":
    """The cells must be inert already."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for head in heads:
        # Ids are copied: never cut them.
        table.add_column(head, no_wrap=head == "id", overflow="fold")
    for row in cells:
        table.add_row(*(Text(value) for value in row))
    return table


def short_time(at: object) -> str:
    """`2026-11-23 09:11` of an RFC 3339 time in UTC."""
    return str(at)[:16].replace("T", " ")
