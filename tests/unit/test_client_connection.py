"""Both faces send the same, read the same, and repeat only what may be repeated."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from handfast.client import Client, calls
from handfast.client.request import IDEMPOTENCY_HEADER, Json, Request
from handfast.core.domain.action import Call, Effect, Facts
from handfast.core.domain.errors import AdapterError, NotFound, Unavailable

Handler = Callable[[httpx.Request], httpx.Response]


def _send(handler: Handler, request: Request[Json], face: str) -> Json:
    client = Client(
        "http://x",
        "hfa_1",
        transport=httpx.MockTransport(handler),
        async_transport=httpx.MockTransport(handler),
    )
    if face == "thread":
        with client:
            return client.send(request)

    async def main() -> Json:
        try:
            return await client.asend(request)
        finally:
            await client.aclose()

    return asyncio.run(main())


faces = pytest.mark.parametrize("face", ["thread", "loop"])


@faces
def test_a_call_is_sent_as_it_was_built(face: str) -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"verdict": "allow"})

    proposed = calls.Proposed(Call("Bash", {"command": "ls"}), Facts(Effect.EXEC, "lists"))
    assert _send(handler, calls.propose("run_1", "t1", proposed), face) == {"verdict": "allow"}
    assert seen[0].url.path == "/v1/runs/run_1/actions"
    assert seen[0].headers["authorization"] == "Bearer hfa_1"
    assert seen[0].headers[IDEMPOTENCY_HEADER]
    assert b'"effect": "exec"' in seen[0].content


@faces
def test_a_command_with_a_key_is_repeated_with_the_same_key(face: str) -> None:
    keys: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers[IDEMPOTENCY_HEADER])
        if len(keys) < 3:
            raise httpx.ReadTimeout("lost", request=request)
        return httpx.Response(200, json={})

    assert _send(handler, calls.redeem("gr_1", "sha256:x", executor="mediated"), face) == {}
    assert len(keys) == 3
    assert len(set(keys)) == 1


@faces
def test_a_command_without_a_key_is_not_repeated_once_it_was_sent(face: str) -> None:
    sent = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal sent
        sent += 1
        raise httpx.ReadTimeout("lost", request=request)

    with pytest.raises(Unavailable):
        _send(handler, calls.issue_token("ag_1"), face)
    assert sent == 1


@faces
def test_a_refusal_is_not_repeated(face: str) -> None:
    sent = 0

    def handler(request: httpx.Request) -> httpx.Response:
        nonlocal sent
        sent += 1
        return httpx.Response(404, json={"code": "not_found", "detail": "no run `run_1`"})

    with pytest.raises(NotFound, match="run_1"):
        _send(handler, calls.run("run_1"), face)
    assert sent == 1


@faces
def test_an_answer_that_is_no_object_is_an_error(face: str) -> None:
    with pytest.raises(AdapterError):
        _send(lambda _: httpx.Response(200, text="<html>"), calls.run("run_1"), face)


@faces
def test_a_busy_server_is_asked_again(face: str) -> None:
    answers = iter(
        [
            httpx.Response(503, json={"code": "unavailable", "detail": "busy", "retryable": True}),
            httpx.Response(200, json={"ok": 1}),
        ]
    )
    assert _send(lambda _: next(answers), calls.run("run_1"), face) == {"ok": 1}


def test_ids_cannot_leave_their_place_in_a_path() -> None:
    assert calls.run("../../x?y").path == "/v1/runs/..%2F..%2Fx%3Fy"


def test_threads_that_call_at_once_share_what_is_closed_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[httpx.Client] = []

    class Slow(httpx.Client):
        """Takes long enough to open that every thread comes meanwhile."""

        def __init__(self, **settings: Any) -> None:
            opened.append(self)
            time.sleep(0.05)
            super().__init__(**settings)

    monkeypatch.setattr(httpx, "Client", Slow)
    at_once = threading.Barrier(4)
    answers = httpx.MockTransport(lambda _: httpx.Response(200, json={}))

    def ask(client: Client) -> None:
        at_once.wait(60)
        client.send(calls.run("run_1"))

    with Client("http://x", transport=answers) as client, ThreadPoolExecutor(4) as threads:
        list(threads.map(ask, [client] * 4))
    assert [each.is_closed for each in opened] == [True]
