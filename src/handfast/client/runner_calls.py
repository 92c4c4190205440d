"""The calls about runners: their registry, and how one of their processes comes, leases, and goes."""

from collections.abc import Mapping, Sequence

from handfast.client.request import Json, Request, new_key, read_items, read_optional
from handfast.client.request import get as _get
from handfast.client.request import path_part as _id
from handfast.client.request import post as _post


def runners() -> Request[list[Json]]:
    return _get("/v1/runners", read_items)


def add_runner(
    name: str, repositories: Sequence[str], agents: Sequence[str], labels: Sequence[str]
) -> Request[Json]:
    body = {
        "name": name,
        "repositories": list(repositories),
        "agents": list(agents),
        "labels": list(labels),
    }
    return _post("/v1/runners", body)


def issue_runner_token(runner_id: str) -> Request[Json]:
    return _post(f"/v1/runners/{_id(runner_id)}/token", {})


def retire_runner(runner_id: str, reason: str) -> Request[Json]:
    return _post(f"/v1/runners/{_id(runner_id)}/retire", {"reason": reason}, new_key())


def start_runner(fields: Mapping[str, object]) -> Request[Json]:
    return _post("/v1/runners/start", fields, new_key())


def runner_heartbeat(runner_id: str, instance: int) -> Request[Json]:
    """Sent once: a late one says nothing."""
    return _post(f"/v1/runners/{_id(runner_id)}/heartbeat", {"instance": instance})


def stop_runner(runner_id: str, instance: int, reason: str) -> Request[Json]:
    body = {"instance": instance, "reason": reason}
    return _post(f"/v1/runners/{_id(runner_id)}/stop", body, new_key())


def lease(
    runner_id: str, host: str, instance: int, free: int, without: Sequence[str] = ()
) -> Request[Json | None]:
    """The next run for this runner, or None."""
    body: Json = {
        "runner_id": runner_id,
        "host": host,
        "capacity": free,
        "instance": instance,
        "without": list(without),
    }
    return Request("POST", "/v1/leases", read_optional, body=body)


def run_heartbeat(run_id: str, epoch: int) -> Request[Json]:
    """Keep a lease. Sent once: a late one says nothing."""
    return _post(f"/v1/runs/{_id(run_id)}/heartbeat", {"epoch": epoch})
