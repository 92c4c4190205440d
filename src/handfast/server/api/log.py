"""The log as a stream, its proofs, and the bodies beside it."""

import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import Response, StreamingResponse

from handfast.core.domain.errors import NotFound, UsageError
from handfast.core.domain.events import WIRE
from handfast.engine.access import PrincipalKind
from handfast.engine.kernel import Result, Unit
from handfast.engine.vault import is_upload
from handfast.observe.secrets import redact
from handfast.server.api import schema_org as schema
from handfast.server.api.naming import check_named
from handfast.server.identity import Caller, CallerDep, still_known
from handfast.server.seeing import seen_by
from handfast.server.waiting import hub_of
from handfast.storage.api import EventRow, Store

router = APIRouter(prefix="/v1", tags=["log"])
HEARTBEAT_S = 15
Sees = Callable[[list[EventRow]], list[EventRow]]
SCANNED = 5_000
MAX_POSITION = 2**53
TEXT_MEDIA = ("text/", "application/json", "application/jsonl")


class Filter:
    """Which entries a reader wants: of some types, of one run. Empty means all."""

    def __init__(
        self,
        types: Annotated[str, Query(max_length=1000)] = "",
        run_id: Annotated[str, Query(max_length=64)] = "",
    ) -> None:
        self.types = frozenset(filter(None, types.split(",")))
        self.run_id = run_id
        if unknown := sorted(self.types - set(WIRE)):
            raise UsageError(
                f"`types` names `{unknown[0]}`, which is no type of event",
                hint=f"Types: {', '.join(sorted(WIRE))}.",
            )

    def takes(self, row: EventRow) -> bool:
        if self.types and row.type not in self.types:
            return False
        if not self.run_id or row.stream == f"run/{self.run_id}":
            return True
        return self.run_id.encode() in row.data and _run_of(row) == self.run_id


def _run_of(row: EventRow) -> str:
    return str(json.loads(row.data)["data"].get("run_id", ""))


@router.get(
    "/events",
    response_model=schema.EventPage,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def list_events(
    request: Request,
    caller: CallerDep,
    wanted: Annotated[Filter, Depends()],
    after: Annotated[int, Query(ge=0, le=MAX_POSITION)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    last_event_id: Annotated[str, Header()] = "",
) -> schema.EventPage | Response:
    """A page of the log after a position. With `Accept: text/event-stream`, the log as it grows.

    The stream's event ids are positions: a reader that reconnects with `Last-Event-ID` misses nothing.
    """
    if "text/event-stream" in request.headers.get("accept", ""):
        start = position_in(last_event_id, after)
        return event_stream(_stream(request, caller, wanted, start))
    sees = partial(seen_by, caller.engine, caller.person_id)
    store = caller.engine.kernel.store
    return await to_thread.run_sync(_page, store, wanted, after, limit, sees)


def _page(
    store: Store, wanted: Filter, after: int, limit: int, sees: Sees = list
) -> schema.EventPage:
    items: list[schema.EventOut] = []
    last = after
    while last - after < SCANNED and len(items) < limit:
        rows = store.events(after=last, limit=500)
        if not rows:
            break
        seen = {row.position for row in sees(rows)}
        for row in rows:
            last = row.position
            if row.position in seen and wanted.takes(row):
                items.append(_event(row))
                if len(items) == limit:
                    break
    return schema.EventPage(items=items, next=last)


def _event(row: EventRow) -> schema.EventOut:
    return schema.EventOut.model_validate({**json.loads(row.data), "position": row.position})


def position_in(last_event_id: str, default: int) -> int:
    """Where a reader that lost its connection goes on."""
    known = last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) < 16
    return int(last_event_id) if known else default


async def _stream(
    request: Request, caller: Caller, wanted: Filter, position: int
) -> AsyncIterator[str]:
    """Ends when the credential it was opened with does."""
    hub = hub_of(request)
    with hub.follow():
        yield ": open\n\n"
        while not hub.closing and await to_thread.run_sync(still_known, request):
            rows = await hub.after(position)
            if rows:
                position = rows[-1].position
            for row in await to_thread.run_sync(seen_by, caller.engine, caller.person_id, rows):
                if wanted.takes(row):
                    position_of = row.position
                    data = _event(row).model_dump_json(by_alias=True)
                    yield f"id: {position_of}\nevent: {row.type}\ndata: {data}\n\n"
            if not rows and not await hub.grown(position, HEARTBEAT_S):
                yield ": still here\n\n"


def event_stream(source: AsyncIterator[str]) -> StreamingResponse:
    """Server-sent events that no proxy holds back."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(source, headers=headers, media_type="text/event-stream")


@router.post("/bodies", status_code=201)
async def create_body(request: Request, caller: CallerDep) -> schema.BodyOut:
    """Store raw bytes beside the log, sealed, for a later request to name. The media type is the Content-Type."""
    data = await request.body()
    media = request.headers.get("content-type", "application/octet-stream")[:100]

    def work(unit: Unit) -> Result:
        ref = unit.upload(data, media if media.isprintable() else "application/octet-stream")
        return {"body_id": ref.body_id, "digest": ref.digest, "size": ref.size}

    result = await to_thread.run_sync(caller.engine.kernel.run, caller.actor, work)
    return schema.BodyOut.model_validate(result)


@router.get(
    "/bodies/{body_id}",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}},
)
def get_body(
    caller: CallerDep, body_id: str, of: Annotated[str, Query(max_length=64)] = ""
) -> Response:
    """The bytes. A person gets text with known secrets blanked, never anything a browser would run.

    `of` is where the caller read of it: a handoff, run or task that they see. What other entries of the log name
    (contacts, names of people, notices) is not given out. A machine also gets what it uploaded.
    """
    person = caller.principal.kind is PrincipalKind.PERSON
    if person or not is_upload(body_id):
        check_named(caller, body_id, of)
    found = caller.engine.kernel.vault.open(body_id)
    if found.erased:
        raise NotFound(f"body `{body_id}` was erased", code="erased")
    if not person:
        return Response(found.data, media_type=found.media)
    if found.media.startswith(TEXT_MEDIA):
        text, _ = redact(found.text)
        return Response(text.encode("utf-8", "replace"), media_type="text/plain; charset=utf-8")
    headers = {"Content-Disposition": f'attachment; filename="{body_id}"'}
    return Response(found.data, headers=headers, media_type="application/octet-stream")


@router.delete("/bodies/{body_id}")
def erase_body(
    caller: CallerDep, body_id: str, reason: Annotated[str, Query(max_length=200)] = ""
) -> schema.BodyGone:
    """Overwrite a body and its salt for good. The proofs of the log stay valid. Recorded."""
    if caller.sight is not None:
        raise NotFound(f"there is no body `{body_id}`")
    return schema.BodyGone.model_validate(caller.engine.audit.erase(caller.actor, body_id, reason))


@router.get("/audit/head", tags=["audit"])
def get_head(caller: CallerDep) -> schema.HeadOut:
    """A signed head of the log as it is now. Keep one elsewhere: it shows a later rewrite."""
    audit = caller.engine.audit
    note = audit.head()
    size = int(note.split("\n", 2)[1])  # a checkpoint's second line
    return schema.HeadOut(size=size, note=note, verifier=audit.verifier)


@router.get("/audit/entries/{position}/proof", tags=["audit"])
def get_entry_proof(caller: CallerDep, position: int) -> schema.EntryProof:
    """That an entry is in the log under the signed head."""
    if caller.sight is not None:
        rows = caller.engine.kernel.store.events(after=max(0, position - 1), limit=1)
        if not seen_by(caller.engine, caller.person_id, rows):
            raise NotFound(f"there is no entry {position}")
    return schema.EntryProof.model_validate(caller.engine.audit.proof(position))


@router.get("/audit/consistency", tags=["audit"])
def get_consistency(
    caller: CallerDep,
    old: Annotated[int, Query(alias="from")],
    new: Annotated[int, Query(alias="to")],
) -> schema.ConsistencyProof:
    """That the log only grew between two sizes."""
    return schema.ConsistencyProof.model_validate(caller.engine.audit.consistency(old, new))
