"""Handoffs one below the other in a terminal: what is asked has the width, the id can be copied whole.

Into a pipe they are a table of tab-separated lines: `output.show_table`.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from handfast.cli.output import cell, short_time, show_table

if TYPE_CHECKING:
    from rich.table import Table

HEADS = ("id", "risk", "ask", "agent", "waiting since (UTC)", "status")
_STYLES = {"critical": "bold magenta", "high": "bold red", "medium": "yellow", "low": "green"}
Item = dict[str, object]


def show_handoffs(items: Sequence[Item], empty: str) -> None:
    """`empty` is said in a terminal where there are none."""
    if not items or not sys.stdout.isatty():
        show_table(HEADS, [row(h) for h in items], empty)
        return
    from rich.console import Console

    Console(highlight=False).print(stacked(items))


def counted(number: int, limit: int) -> str:
    """How many wait, where at most `limit` were asked for."""
    if not number:
        return "Nothing waits"
    return f"{number} waiting" if number < limit else f"The first {number} that wait"


def row(h: Item) -> tuple[object, ...]:
    """One handoff as cells under `HEADS`."""
    return (
        h["handoff_id"],
        h["risk"],
        h["ask"],
        h["agent_name"],
        short_time(h["requested_at"]),
        _status(h),
    )


def stacked(items: Sequence[Item]) -> "Table":
    """Risk in one column; in the other the ask, what stands around it, and the id."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for h in items:
        risk, ask = cell(h["risk"]), cell(h["ask"])
        words = Text.assemble(
            (ask[:1].upper() + ask[1:], "bold"),
            "\n",
            (_around(h), "dim"),
            "\n",
            f"{cell(h['handoff_id'])}\n",
        )
        table.add_row(Text(risk, _STYLES.get(risk, "")), words)
    return table


def _around(h: Item) -> str:
    """Who asks where, and what of the time: until when, or how it ended."""
    repository = cell(h["repository"]).rstrip("/").rpartition("/")[2].removesuffix(".git")
    agent = cell(h["agent_name"])
    parts = [f"{agent} in {repository}" if repository else agent]
    if h["waiting"] and h["due_at"]:
        parts.append(f"decide by {short_time(h['due_at'])} UTC")
    if h["holder_name"]:
        parts.append(f"held by {cell(h['holder_name'])}")
    elif (status := str(_status(h))) != "routed":
        parts.append(cell(status))
    return ", ".join(parts)


def _status(h: Item) -> object:
    """What waits for a checkpoint says so, and until when."""
    note = h.get("checkpoint")
    if isinstance(note, dict) and note["waits"] and h["waiting"]:
        return f"for a checkpoint, by {short_time(note['open_by'])}"
    return h["status"]
