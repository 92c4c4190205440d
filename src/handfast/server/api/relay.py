"""Deliveries: how many wait, what was given up, and trying it again."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from handfast.server.api import schema_relay as schema
from handfast.server.identity import CallerDep

router = APIRouter(prefix="/v1/relay", tags=["relay"])
_LARGEST = 2**63 - 1
Number = Annotated[int, Path(ge=0, le=_LARGEST)]
After = Annotated[int, Query(ge=0, le=_LARGEST)]


@router.get("")
def get_relay(caller: CallerDep) -> schema.RelayOut:
    """What is not delivered yet, by topic, and which relays have work."""
    return schema.RelayOut.model_validate(caller.engine.deliveries.status())


@router.get("/dead")
def list_dead_deliveries(
    caller: CallerDep, after: After = 0, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> schema.DeadList:
    """What was given up, oldest first. `after` is the id of the last one of a page."""
    items = caller.engine.deliveries.dead(after, limit)
    return schema.DeadList.model_validate({"items": items})


@router.post("/deliveries/{delivery_id}/retry")
def retry_delivery(caller: CallerDep, delivery_id: Number) -> schema.Retried:
    """Try it again, with all attempts before it."""
    result = caller.engine.deliveries.retry(caller.actor, delivery_id)
    return schema.Retried.model_validate(result)
