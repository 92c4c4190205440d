"""`handfast inbox`: what waits for a person."""

import sys
import time
from typing import Annotated

from cyclopts import Parameter

from handfast.cli.output import Json, cell, note, say, say_json
from handfast.cli.queue_list import counted, row, show_handoffs, stacked
from handfast.cli.reads import Reads, reads
from handfast.core.domain.errors import Unavailable

_EVERY_S = 1.0


def inbox(
    *,
    watch: Annotated[bool, Parameter(negative=())] = False,
    tui: Annotated[bool, Parameter(negative=())] = False,
    limit: int = 50,
    as_json: Json = False,
) -> None:
    """List the handoffs that wait, most pressing first.

    Parameters
    ----------
    watch
        Stay and show changes as they come. With `--json` or into a pipe: one line for each new
        handoff, and what is stopped on standard error. End it with Ctrl-C.
    tui
        Full screen: read cases and decide them with a key. Needs the extra `handfast[tui]`.
    limit
        At most so many.
    """
    if tui:
        from handfast.cli import tui as full_screen

        full_screen.run()
        return
    with reads() as source:
        if watch:
            _watch(source, limit, as_json=as_json)
            return
        items = source.handoffs("waiting", limit=limit)
        stopped = source.stopped()
    if as_json:
        say_json({"items": items, "stopped": stopped})
        return
    for stop in stopped:
        note(f"STOPPED: {stop['says']}")
    show_handoffs(items, "Nothing waits.")
    if len(items) == limit:
        note(f"{counted(limit, limit)}. `--limit` shows more.")
    if items and sys.stdout.isatty():
        note("Decide: handfast handoff approve ID (or reject, request-changes, answer)")


def _watch(source: Reads, limit: int, *, as_json: bool) -> None:
    if as_json or not sys.stdout.isatty():
        _stream(source, limit, as_json=as_json)
    else:
        _live(source, limit)


def _stream(source: Reads, limit: int, *, as_json: bool) -> None:
    known: set[str] = set()
    told: set[str] = set()
    while True:
        items = source.handoffs("waiting", limit=limit)
        stops = [str(stop["says"]) for stop in source.stopped()]
        for says in stops:
            if says not in told:
                note(f"STOPPED: {says}")
        told = set(stops)
        for item in items:
            if item["handoff_id"] not in known:
                if as_json:
                    say_json(item)
                else:
                    say("\t".join(cell(value) for value in row(item)))
        sys.stdout.flush()
        known = {str(item["handoff_id"]) for item in items}
        time.sleep(_EVERY_S)


def _live(source: Reads, limit: int) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False, screen=False) as live:
        while True:
            try:
                items = source.handoffs("waiting", limit=limit)
                count = counted(len(items), limit)
                stops = [Text(f"STOPPED: {cell(stop['says'])}") for stop in source.stopped()]
                live.update(Group(*stops, stacked(items), Text(count)), refresh=True)
            except Unavailable as error:  # a server that restarts is back in a moment
                live.update(Text(f"{cell(error.message)}. Trying again."), refresh=True)
            time.sleep(_EVERY_S)
