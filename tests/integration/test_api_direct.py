"""The short way to the gate answers exactly as the framework's way does: the same question sent both ways."""

import json
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.served import Json, Served

CALL = {"tool": "Bash", "arguments": {"command": "make all"}}
ACTION: Json = {
    "key": "k1",
    "call": CALL,
    "facts": {"effect": "exec", "summary": "runs make"},
}
READ: Json = {
    "key": "r1",
    "call": CALL,
    "facts": {"effect": "read", "summary": "reads"},
    "at": "2026-03-04T10:00:00Z",
}
JSON_TYPE = {"Content-Type": "application/json"}


def _short(client: httpx.Client, path: str, body: bytes, **headers: str) -> httpx.Response:
    return client.post(path, content=body, headers=JSON_TYPE | headers)


def _common(client: httpx.Client, path: str, body: bytes, **headers: str) -> httpx.Response:
    """Sent in pieces, its length is not stated, so it takes the framework's way."""

    def pieces() -> Iterator[bytes]:
        yield body

    return client.post(path, content=pieces(), headers=JSON_TYPE | headers)


def _said(answer: httpx.Response) -> Json:
    """Without the step's id: each proposal is a step of its own."""
    said: Json = answer.json()
    said.pop("step_id", None)
    return said


def _threads() -> int:
    return sum(t.name.startswith("handfast-gate") for t in threading.enumerate())


def test_the_short_way_is_taken_and_the_two_ways_share_an_idempotency_key(served: Served) -> None:
    client, run = served.client("runner"), served.session_run()
    path, body = f"/v1/runs/{run}/actions", json.dumps(ACTION).encode()
    before = _threads()
    first = _short(client, path, body, **{"Idempotency-Key": "once"})
    assert _threads() > before
    again = _common(client, path, body, **{"Idempotency-Key": "once"})
    assert (first.status_code, first.json()["verdict"]) == (200, "allow")
    assert again.json() == first.json()
    assert first.headers.items() == again.headers.items() - {("date", again.headers["date"])} | {
        ("date", first.headers["date"])
    }
    steps = client.get(f"/v1/runs/{run}/steps").json()["items"]
    assert len(steps) == 1


WRONG: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"key": "\xff"}',
    "a list": b"[]",
    "null": b"null",
    "a number": b"7",
    "nothing in it": b"{}",
    "a member too many": json.dumps(ACTION | {"verdict": "allow"}).encode(),
    "a member of another type": json.dumps(ACTION | {"key": 7}).encode(),
    "half a surrogate pair": json.dumps(ACTION | {"key": "\ud800"}).encode(),
    "a float in the call": json.dumps(
        ACTION | {"call": {"tool": "Bash", "arguments": {"n": 1.5}}}
    ).encode(),
    "not a number in the call": b'{"key":"k","call":{"tool":"B","arguments":{"n":NaN}},'
    b'"facts":{"effect":"exec","summary":"s"}}',
    "no facts": json.dumps({"key": "k", "call": CALL}).encode(),
    "nested without end": b'{"key":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "a key that is too long": json.dumps(ACTION | {"key": "k" * 100_000}).encode(),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("route", ["actions", "results", "steps"])
def test_what_is_wrong_is_answered_the_same_both_ways(
    served: Served, route: str, name: str
) -> None:
    client = served.client("runner")
    path = f"/v1/runs/{served.session_run()}/{route}"
    short, common = (way(client, path, WRONG[name]) for way in (_short, _common))
    assert short.status_code in (400, 422)
    assert (short.status_code, short.json()) == (common.status_code, common.json())


@pytest.mark.parametrize(
    ("route", "body"),
    [("actions", ACTION), ("results", {"key": "k1", "exit_code": 0}), ("steps", {"steps": [READ]})],
)
@pytest.mark.parametrize("who", ["", "nobody", "agent", "operator", "runner"])
def test_who_may_not_is_refused_the_same_both_ways(
    served: Served, route: str, body: Json, who: str
) -> None:
    """A run that is not there, too, for those who may."""
    client = served.client(who if who in served.tokens else "")
    if who == "nobody":
        client.headers["Authorization"] = "Bearer hfr_nobody"
    content = json.dumps(body).encode()
    for run in (served.session_run(), "run_none", "%2e%2e"):
        path = f"/v1/runs/{run}/{route}"
        short, common = (way(client, path, content) for way in (_short, _common))
        assert (short.status_code, _said(short)) == (common.status_code, _said(common)), run
        assert run != "%2e%2e" or short.status_code in (401, 403, 404)


def test_headers_that_are_not_plain_are_answered_the_same_both_ways(served: Served) -> None:
    client, run = served.client("runner"), served.session_run()
    path, body = f"/v1/runs/{run}/actions", json.dumps(ACTION).encode()
    for headers in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/jsonp"},
        {"Idempotency-Key": "k" * 201},
        {"Host": "evil.example"},
    ):
        short, common = (way(client, path, body, **headers) for way in (_short, _common))
        assert short.status_code in (421, 422), headers
        assert (short.status_code, short.json()) == (common.status_code, common.json())
    refused = client.request("PUT", path, content=body, headers=JSON_TYPE)
    assert refused.status_code == 405
