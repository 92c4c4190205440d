"""The calls about runs in a person's hands."""

from collections.abc import Mapping

from handfast.client.request import Json, Request, new_key
from handfast.client.request import path_part as _id
from handfast.client.request import post as _post


def take_over(run_id: str, reason: str, proof: Mapping[str, object]) -> Request[Json]:
    """Idempotent for whoever holds the run."""
    return _post(f"/v1/runs/{_id(run_id)}/take-over", {"reason": reason, **proof}, new_key())


def hand_back(run_id: str, note: str, then: str, proof: Mapping[str, object]) -> Request[Json]:
    """`then` is resume, review or end. Not repeated: a second one finds nothing to hand back."""
    return _post(f"/v1/runs/{_id(run_id)}/hand-back", {"note": note, "then": then, **proof})


def handed_over(run_id: str, fields: Mapping[str, object]) -> Request[Json]:
    """By its runner: the agent is gone. Idempotent by nature."""
    return _post(f"/v1/runs/{_id(run_id)}/handed-over", fields, new_key())


def persons_work(run_id: str, fields: Mapping[str, object]) -> Request[Json]:
    """By its runner: what changed meanwhile. Idempotent by nature."""
    return _post(f"/v1/runs/{_id(run_id)}/persons-work", fields, new_key())
