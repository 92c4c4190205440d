"""Calls about a task's bodies and its legal hold, as values to send. See `calls`."""

from collections.abc import Mapping, Sequence

from handfast.client.request import Json, Request, read_object
from handfast.client.request import get as _get
from handfast.client.request import path_part as _id

Proof = Mapping[str, object]


def standing(task_id: str) -> Request[Json]:
    return _get(f"/v1/tasks/{_id(task_id)}/bodies", read_object)


def erase(task_id: str, reason: str, kinds: Sequence[str], proof: Proof) -> Request[Json]:
    """May be sent again: what is erased already is passed over. A large task takes minutes."""
    body = {"reason": reason, "kinds": list(kinds), **proof}
    path = f"/v1/tasks/{_id(task_id)}/bodies/erase"
    return Request("POST", path, read_object, body=body, timeout_s=600.0)


def hold(task_id: str, reason: str, proof: Proof) -> Request[Json]:
    body = {"reason": reason, **proof}
    return Request("POST", f"/v1/tasks/{_id(task_id)}/hold", read_object, body=body)


def release(task_id: str, reason: str, proof: Proof) -> Request[Json]:
    body = {"reason": reason, **proof}
    return Request("POST", f"/v1/tasks/{_id(task_id)}/release", read_object, body=body)
