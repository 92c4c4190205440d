"""The routes that an agent waits for at every call, answered without the framework's way to a handler.

They are declared, documented and permitted like all others. What differs is the way there: the framework's
dependencies, one hop to another thread each, take longer than the gate check itself. Here one thread
reads the body, finds the caller and answers. Whatever is not plainly right (a body that does not fit, a header
of another kind) goes the common way, which says what is wrong with it.
"""

import asyncio
import contextvars
import json
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import cast, get_type_hints

from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handfast.core.domain.errors import HandfastError
from handfast.server.identity import caller

# As many as the framework has. Who waits for the disk beside others shares their commit.
THREADS = 40
MAX_KEY = 200
Refusal = Callable[[Request, Exception], Awaitable[Response]]


class Direct:
    """Answers POSTs to `routes`: each takes a caller, a `run_id`, a body `asked`, and maybe an idempotency key."""

    def __init__(self, app: ASGIApp, routes: Sequence[APIRoute], refusal: Refusal) -> None:
        self._app = app
        self._ways = [_Way(route) for route in routes]
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        way = self._way(scope) if scope["type"] == "http" else None
        if way is None:
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        way.mark(scope)
        request = Request(scope)
        answer = partial(contextvars.copy_context().run, way.answer, request, body)
        threads = cast("ThreadPoolExecutor", request.app.state.gate_threads)
        response: Response | None
        try:
            response = await asyncio.get_running_loop().run_in_executor(threads, answer)
        except HandfastError as error:
            response = await self._refusal(request, error)
        if response is None:
            await self._app(scope, _again(body, receive), send)
        else:
            await response(scope, receive, send)

    def _way(self, scope: Scope) -> "_Way | None":
        if scope["method"] != "POST":
            return None
        way = next((w for w in self._ways if w.route.path_regex.match(scope["path"])), None)
        return way if way and _plain(scope) else None


class _Way:
    """A route, and what its handler takes."""

    def __init__(self, route: APIRoute) -> None:
        takes = get_type_hints(route.endpoint)
        self.route = route
        self._asked: type[BaseModel] = takes["asked"]
        self._keyed = "idempotency_key" in takes

    def mark(self, scope: Scope) -> None:
        """As the framework's router does."""
        match = self.route.path_regex.match(scope["path"])
        params = match.groupdict() if match else {}
        scope.update(endpoint=self.route.endpoint, route=self.route, path_params=params)

    def answer(self, request: Request, body: bytes) -> Response | None:
        """None for what the common way refuses. Raises HandfastError."""
        try:
            asked = self._asked.model_validate(json.loads(body))
        except (ValueError, ValidationError, RecursionError):
            return None
        key = request.headers.get("idempotency-key", "")
        if len(key) > MAX_KEY:
            return None
        more = {"idempotency_key": key} if self._keyed else {}
        run_id = request.path_params["run_id"]
        return cast("Response", self.route.endpoint(caller(request), run_id, asked, **more))


def _plain(scope: Scope) -> bool:
    """JSON of a stated length: what clients send."""
    headers = dict(scope["headers"])
    kind: bytes = headers.get(b"content-type", b"")
    length: bytes = headers.get(b"content-length", b"")
    return kind.partition(b";")[0] == b"application/json" and length.isdigit()


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b""  # gone: the common way finds out
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, then what really comes."""
    told = False

    async def once() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once
