"""Calls about several cases at once, as values to send. See `calls`."""

from collections.abc import Mapping

from handfast.client.request import Json, Request, new_key, post


def approve_together(
    shown: Mapping[str, str], *, reason: str = "", person: str = "", pin: str = ""
) -> Request[Json]:
    """`shown` is the digest of each handoff as it was shown, by its id."""
    items = [{"handoff_id": h, "presented_digest": digest} for h, digest in shown.items()]
    body: Json = {"items": items, "reason": reason, "person": person, "pin": pin}
    return post("/v1/handoffs/decisions", body, new_key())
