"""Whether the server and its store answer. Needs no credential and tells nothing about content."""

from fastapi import APIRouter, Request

from handfast import __version__
from handfast.core.domain.handoff import WAITING
from handfast.server.api.schema_org import Health
from handfast.server.identity import EngineDep

router = APIRouter(tags=["health"])
COUNTED = 1_000


@router.get("/healthz")
def get_health(request: Request, engine: EngineDep) -> Health:
    """Reads from the store, so that an answer means that it answers too. `backlog` stops at 1000."""
    store = engine.kernel.store
    inline = bool(request.app.state.runner_inline)
    return Health(
        status="ok",
        version=__version__,
        database="ok",
        backlog=len(store.outbox(COUNTED)),
        waiting=store.count("handoff", [s.value for s in WAITING]),
        runner="inline" if inline else "separate",
    )
