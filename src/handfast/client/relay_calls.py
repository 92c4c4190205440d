"""Calls about deliveries, as values to send. See `calls`."""

from handfast.client.request import Json, Request, read_items, read_object
from handfast.client.request import get as _get
from handfast.client.request import post as _post


def status() -> Request[Json]:
    return _get("/v1/relay", read_object)


def dead(after: int = 0, limit: int = 200) -> Request[list[Json]]:
    return _get("/v1/relay/dead", read_items, {"after": after, "limit": limit})


def retry(delivery_id: int) -> Request[Json]:
    """Idempotent: the second is refused, because it is not given up any more."""
    return _post(f"/v1/relay/deliveries/{delivery_id}/retry", {})
