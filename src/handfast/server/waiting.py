"""Waiting for a decision without holding a thread."""

import asyncio
import time
from contextlib import suppress
from typing import cast

from anyio import to_thread
from starlette.requests import Request

from handfast.core.domain.errors import Unavailable
from handfast.core.domain.handoff import Handoff
from handfast.engine.facade import Engine
from handfast.server.hub import Hub

# The code of the answer to who waits at a server that ends: no fault, so its log is silent about it.
STOPPING = "stopping"


def hub_of(request: Request) -> Hub:
    return cast("Hub", request.app.state.hub)


async def until_settled(hub: Hub, engine: Engine, handoff_id: str, deadline: float) -> bool:
    """True once nobody waits for this handoff any more; False at `deadline` (monotonic seconds).

    Raises Unavailable when the server stops: nothing more is read for hundreds that wait, and the client asks
    again by itself and finds the next server.
    """
    with hub.watch(f"handoff/{handoff_id}") as changed:
        while True:
            changed.clear()
            if hub.closing:
                raise Unavailable("the server stops", code=STOPPING, hint="Ask again in a moment.")
            handoff = await to_thread.run_sync(engine.kernel.state, Handoff, handoff_id)
            left = deadline - time.monotonic()
            if not handoff.waiting or left <= 0:
                return not handoff.waiting
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), left)
