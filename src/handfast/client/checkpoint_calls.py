"""Calls about checkpoints, as values to send. See `calls`."""

from collections.abc import Mapping, Sequence

from handfast.client.request import Json, Request, get, new_key, path_part, post, read_object


def checkpoints() -> Request[Json]:
    """The latest ones, and what waits for one."""
    return get("/v1/checkpoints", read_object)


def checkpoint(checkpoint_id: str) -> Request[Json]:
    return get(f"/v1/checkpoints/{path_part(checkpoint_id)}", read_object)


def open_now(handoffs: Sequence[str], *, person: str = "", pin: str = "") -> Request[Json]:
    """Ask now; without handoffs all that waits for this person."""
    body: Json = {"handoffs": list(handoffs), "person": person, "pin": pin}
    return post("/v1/checkpoints/open", body)


def decide(
    checkpoint_id: str,
    items: Sequence[Mapping[str, object]],
    *,
    reason: str = "",
    person: str = "",
    pin: str = "",
) -> Request[Json]:
    """Several decisions in one pass: `{handoff_id, kind, presented_digest, reason?, answer?}` each."""
    body: Json = {
        "items": [dict(item) for item in items],
        "reason": reason,
        "person": person,
        "pin": pin,
    }
    return post(f"/v1/checkpoints/{path_part(checkpoint_id)}/decisions", body, new_key())
