"""A span and a measurement for each HTTP request. Mounted only while telemetry is on."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handfast.engine.telemetry import Telemetry

_STREAM = b"text/event-stream"


class Tracing:
    """The outermost layer. The route's template is recorded, never the path: it holds ids.

    A trace that a caller brings is not joined: agents are callers, too.
    """

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, answer = time.perf_counter(), _Answer(send)
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        with self._telemetry.span("http.request", {"http.request.method": method}) as span:
            try:
                await self._app(scope, receive, answer.send)
            finally:
                route = getattr(scope.get("route"), "path", "(none)")
                about = {"http.route": route, "http.response.status_code": answer.status}
                span.add(about)
                if not answer.stream:
                    took = time.perf_counter() - started
                    of = {"http.request.method": method, **about}
                    self._telemetry.measure("http.server.request.duration", took, of)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class _Answer:
    """Sees the status go by, and whether it is a stream that lasts as long as its reader."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 500
        self.stream = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            kinds = [v for k, v in message.get("headers", ()) if k.lower() == b"content-type"]
            self.stream = any(kind.startswith(_STREAM) for kind in kinds)
        await self._send(message)
