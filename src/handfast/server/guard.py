"""The outermost layer: where a request may come in, body limits, security headers, the last catch for errors."""

import logging
import secrets
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handfast.server.problems import Problem
from handfast.server.sessions import SAFE_METHODS
from handfast.server.site import PAGES_NAME, Site, without_the_name
from handfast.server.web.render import CONTENT_SECURITY_POLICY

Answer = Callable[[Request, Problem], Response]
UPLOAD_PATH = "/v1/bodies"
# What is no page: it is answered at every name of this server. A session holds at the pages' name alone.
_ANYWHERE = frozenset({"/healthz", "/openapi.json", "/slack"})
_ANYWHERE_BELOW = ("/v1/", "/static/")
_BEHIND = "A proxy before the server has to hand on the `Host` that it was asked for."
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
log = logging.getLogger("handfast.server")


class BodyTooLarge(HTTPException):
    """Raised where the body is read, so that a handler answers before the rest arrives."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, too_large(limit).detail)
        self.limit = limit


def too_large(limit: int) -> Problem:
    return Problem(
        413,
        "body_too_large",
        f"the body is larger than {limit} bytes",
        "Send large content to POST /v1/bodies, and refer to it by its id.",
    )


class Guard:
    """Wraps the whole application. `answer` draws a problem as the path asks: a page, or JSON."""

    def __init__(self, app: ASGIApp, site: Site, answer: Answer) -> None:
        self._app = app
        self._site = site
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(receive, send, self._limit(scope))
        refused = self._refused(scope, exchange.limit)
        if refused is not None:
            await self._say(scope, exchange, refused)
            return
        if self._is_misplaced(scope):
            await self._lead(scope, exchange)
            return
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception:
            reference = secrets.token_hex(6)
            log.exception("error %s in %s %s", reference, scope["method"], scope["path"])
            if exchange.started:
                raise
            await self._say(scope, exchange, _fault(reference))

    def _limit(self, scope: Scope) -> int:
        upload = scope["method"] == "POST" and scope["path"] == UPLOAD_PATH
        return self._site.upload_limit if upload else self._site.body_limit

    def _refused(self, scope: Scope, limit: int) -> Problem | None:
        headers = Headers(scope=scope)
        if not self._site.allows(headers.get("host", "")):
            return Problem(
                421,
                "unknown_host",
                "this server does not answer to that host name",
                f"Use {PAGES_NAME}, or start the server with that name in `--public-url`.",
            )
        if any(ord(c) < 32 or ord(c) == 127 for c in scope["path"]):
            return Problem(404, "not_found", "there is nothing at this path")
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > limit:
            return too_large(limit)
        return None

    def _is_misplaced(self, scope: Scope) -> bool:
        """Whether this asks for a page at a name that other servers of this machine share."""
        path: str = scope["path"]
        if path in _ANYWHERE or path.startswith(_ANYWHERE_BELOW):
            return False
        return not self._site.has_pages(Headers(scope=scope).get("host", ""))

    async def _lead(self, scope: Scope, exchange: "_Exchange") -> None:
        """To the pages' address. Not by itself to another machine: where a proxy in front puts its own name
        for this server into `Host`, that would go in circles."""
        address = self._site.pages("http://" + Headers(scope=scope).get("host", ""))
        if scope["method"] in SAFE_METHODS and self._site.on_loopback:
            path, query = (
                scope["raw_path"].decode("latin-1"),
                scope["query_string"].decode("latin-1"),
            )
            to = f"{address}/{path.lstrip('/')}" + (f"?{query}" if query else "")
            await RedirectResponse(to)(scope, exchange.receive, exchange.send)
            return
        hint = without_the_name(address) if self._site.on_loopback else _BEHIND
        await self._say(scope, exchange, _wrong_address(address, hint))

    async def _say(self, scope: Scope, exchange: "_Exchange", problem: Problem) -> None:
        response = self._answer(Request(scope), problem)
        await response(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request's channels: counts what comes in, adds headers to what goes out."""

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive = receive
        self._send = send
        self.limit = limit
        self._taken = 0
        self.started = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            if self._taken > self.limit:
                raise BodyTooLarge(self.limit)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


def _wrong_address(address: str, hint: str) -> Problem:
    return Problem(
        421,
        "wrong_address",
        f"nobody signs in at this address: the pages are at {address}",
        hint,
        details={"pages_url": address},
    )


def _fault(reference: str) -> Problem:
    return Problem(
        500,
        "internal",
        "the server failed in a way that was not foreseen; nothing was half written",
        f"Look for `{reference}` in the server's log.",
        details={"reference": reference},
    )
