"""The stream that tells open pages what changed: a row that was decided, a new one, who else looks."""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, cast

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response, StreamingResponse

from handfast.core.domain.codec import format_time
from handfast.core.domain.handoff import Handoff
from handfast.engine.facade import Engine
from handfast.engine.projections import BY_NAME, load
from handfast.server.hub import Hub
from handfast.server.pages.reader import Reader, ReaderDep
from handfast.server.presence import Presence
from handfast.server.seeing import seen_by
from handfast.server.waiting import hub_of
from handfast.server.web.inbox_view import live_row
from handfast.storage.api import EventRow

router = APIRouter()
HEARTBEAT_S = 15
STREAM = "handoff/"
VIEWED = "handoff.viewed"
SILENT = frozenset({VIEWED, "handoff.attended"})


def presence_of(request: Request) -> Presence:
    return cast("Presence", request.app.state.presence)


@router.get("/events")
async def follow(
    request: Request,
    reader: ReaderDep,
    case: Annotated[str, Query(max_length=80)] = "",
    last_event_id: Annotated[str, Header()] = "",
) -> Response:
    """An event `handoff` whenever one changed; with `case` also `presence` when somebody opened it.

    Ends when the session does.
    """
    hub = hub_of(request)
    known = last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 16
    end = await hub.end()
    start = min(int(last_event_id), end) if known else end
    headers = {"X-Accel-Buffering": "no"}
    here: AbstractContextManager[None] = nullcontext()
    if case:
        await to_thread.run_sync(reader.knows, "handoff", case)
        here = presence_of(request).open(case, reader.person_id)
    source = _changes(hub, reader, start, case, here)
    return StreamingResponse(source, headers=headers, media_type="text/event-stream")


async def _changes(
    hub: Hub, reader: Reader, position: int, case: str, here: AbstractContextManager[None]
) -> AsyncIterator[str]:
    with hub.follow(), here:
        yield ": open\n\n"
        while not hub.closing:
            rows = await hub.after(position)
            if not await to_thread.run_sync(reader.engine.people.of_session, reader.secret):
                return
            if rows:
                position = rows[-1].position
                for name, data in await to_thread.run_sync(_news, reader, rows, case):
                    yield f"id: {position}\nevent: {name}\ndata: {json.dumps(data)}\n\n"
            elif not await hub.grown(position, HEARTBEAT_S):
                yield ": still here\n\n"


def _news(reader: Reader, rows: list[EventRow], case: str) -> list[tuple[str, dict[str, object]]]:
    """Each handoff once, as it is now. A look at a case is news only for who has it open too."""
    news: list[tuple[str, dict[str, object]]] = []
    seen = seen_by(reader.engine, reader.person_id, rows)
    ours = [row for row in seen if row.stream.startswith(STREAM)]
    for stream in dict.fromkeys(row.stream for row in ours if row.type not in SILENT):
        found = reader.engine.kernel.store.load(stream)
        if found is not None:
            handoff = cast("Handoff", load(BY_NAME["handoff"], found.doc))
            news.append(("handoff", live_row(_brief(reader.engine, handoff))))
    if any(row.type == VIEWED and row.stream == f"{STREAM}{case}" for row in ours):
        news.append(("presence", {"handoff_id": case}))
    return news


def _brief(engine: Engine, h: Handoff) -> dict[str, object]:
    """As much of a handoff as says where it stands; nothing of its content."""
    decision: dict[str, object] | None = None
    if h.decision is not None:
        by = h.decision.person_id
        decision = {
            "kind": h.decision.kind.value,
            "by": by or "policy",
            "by_name": engine.people.name(by) if by else "policy",
            "by_machine": h.decision.by_machine,
            "overridden": h.decision.overridden,
            "at": format_time(h.decision.at),
        }
    return {
        "handoff_id": h.handoff_id,
        "kind": h.kind.value,
        "status": h.status.value,
        "outcome": h.outcome,
        "risk": h.risk,
        "decision": decision,
        "frozen": h.frozen_at is not None,
        "holder_name": engine.people.name(h.holder) if h.holder else "",
    }
