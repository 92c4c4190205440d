"""The inbox, its rows alone, and the stream that tells open pages to look again."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Header, Request
from starlette.responses import Response, StreamingResponse

from handfast.core.domain.project import Sight
from handfast.engine.facade import Engine
from handfast.engine.kernel import Result
from handfast.engine.views import Views
from handfast.server.api.tasks import After
from handfast.server.hub import Hub
from handfast.server.pages.reader import Reader, ReaderDep, page
from handfast.server.seeing import seen_by
from handfast.server.waiting import hub_of
from handfast.server.web.pages import Context, inbox_page
from handfast.storage.api import EventRow

router = APIRouter()
SHOWN, DECIDED, RUNS = 50, 10, 200
UNATTENDED = timedelta(hours=24)
HEARTBEAT_S = 15
STREAM = "handoff/"
# A look at a case changes nothing that a page shows.
SILENT = frozenset({"handoff.viewed"})


@router.get("/")
def show_inbox(reader: ReaderDep, after: After = "") -> Response:
    return page("inbox.html", _inbox(reader, after))


@router.get("/inbox/rows")
def show_rows(reader: ReaderDep, after: After = "") -> Response:
    """The same rows without the page around them, for a page that is open."""
    return page("_rows.html", _inbox(reader, after))


def _inbox(reader: Reader, after: str) -> Context:
    """A page of the queue. What was decided lately stands below the first one."""
    views = reader.engine.views
    sight = reader.sight
    queue = views.queue(SHOWN, after=after, person_id=reader.person_id, within=sight)
    empty = not (after or queue.items or queue.next)
    return inbox_page(
        queue.items,
        shell=reader.shell(),
        now=reader.engine.kernel.clock.now(),
        decided=[] if after else _decided(views, sight),
        unattended=_unattended(reader.engine, sight) if empty else None,
        after=after,
        next_after=queue.next,
    )


def _decided(views: Views, sight: Sight | None) -> list[Result]:
    found = views.handoffs("decided", limit=DECIDED, within=sight).items
    return found + views.handoffs("closed", limit=DECIDED, within=sight).items


def _unattended(engine: Engine, sight: Sight | None) -> dict[str, object] | None:
    """What ran in the last day without asking anyone, from the counters of its runs."""
    since = engine.kernel.clock.now() - UNATTENDED
    recent = [
        run
        for run in engine.views.runs(limit=RUNS, within=sight).items
        if str(run["created_at"]) >= since.strftime("%Y-%m-%dT%H:%M:%S")
    ]
    if not recent:
        return None
    sums = dict.fromkeys(("steps", "stopped", "denied", "would_stop"), 0)
    for run in recent:
        counts = run["counts"]
        for name in sums:
            sums[name] += int(counts[name]) if isinstance(counts, dict) else 0
    stopped = sums["stopped"] + sums["denied"]
    return {
        "calls": sums["steps"],
        "allowed": sums["steps"] - stopped,
        "stopped": stopped,
        "would_stop": sums["would_stop"],
        "runs": len(recent),
        "since": since.isoformat(),
    }


@router.get("/events")
async def follow(
    request: Request, reader: ReaderDep, last_event_id: Annotated[str, Header()] = ""
) -> Response:
    """An event `handoff` whenever one changed. Ends when the session does."""
    hub = hub_of(request)
    known = last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 16
    end = await hub.end()
    start = min(int(last_event_id), end) if known else end
    headers = {"X-Accel-Buffering": "no"}
    source = _changes(hub, reader, start)
    return StreamingResponse(source, headers=headers, media_type="text/event-stream")


async def _changes(hub: Hub, reader: Reader, position: int) -> AsyncIterator[str]:
    with hub.follow():
        yield ": open\n\n"
        while not hub.closing:
            rows = await hub.after(position)
            if not await to_thread.run_sync(reader.engine.people.of_session, reader.secret):
                return
            if rows:
                position = rows[-1].position
                for handoff_id, status in await to_thread.run_sync(_changed, reader, rows):
                    data = json.dumps({"handoff_id": handoff_id, "status": status})
                    yield f"id: {position}\nevent: handoff\ndata: {data}\n\n"
            elif not await hub.grown(position, HEARTBEAT_S):
                yield ": still here\n\n"


def _changed(reader: Reader, rows: list[EventRow]) -> list[tuple[str, str]]:
    """Each handoff once, with the status that it has now."""
    streams = dict.fromkeys(
        row.stream
        for row in seen_by(reader.engine, reader.person_id, rows)
        if row.stream.startswith(STREAM) and row.type not in SILENT
    )
    states = [reader.engine.kernel.store.load(stream) for stream in streams]
    return [(s.stream.removeprefix(STREAM), s.status) for s in states if s is not None]
