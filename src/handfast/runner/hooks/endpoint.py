"""The runner's HTTP endpoint on loopback: `POST /hooks/claude-code` and `GET /healthz`."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from handfast.client import Client
from handfast.core.domain.errors import HandfastError, NotPermitted, UsageError
from handfast.runner import state
from handfast.runner.hook_settings import PATH
from handfast.runner.hooks import answers
from handfast.runner.hooks.delivery import Delivery
from handfast.runner.hooks.gate import Gate, Now
from handfast.runner.hooks.happenings import Happenings
from handfast.runner.hooks.payload import PRE_TOOL_USE, Event, read_event
from handfast.runner.hooks.registry import SessionRegistry
from handfast.runner.hooks.sessions import Session, Sessions
from handfast.runner.hooks.settings import HookSettings
from handfast.runner.hooks.spool import Spool

SPOOL_FOLDER: Final = "spool"
log = logging.getLogger("handfast.runner")


class HookEndpoint:
    """Everything behind the endpoint. `registry` is how the supervisor announces the runs it starts."""

    def __init__(
        self,
        client: Client,
        settings: HookSettings,
        now: Now,
        registry: SessionRegistry | None = None,
        installed: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        self.registry = registry or SessionRegistry()
        self.settings = settings
        self._client = client
        self._spool = Spool(settings.home / SPOOL_FOLDER, settings.spool_limit)
        known = installed or state.InstalledTokens(settings.home)
        self._sessions = Sessions(client, self.registry, known, settings.confirm_s)
        self._delivery = Delivery(client, self._sessions, self._spool)
        self._gate = Gate(client, self._sessions, self._delivery, settings, now)
        self._happenings = Happenings(self._delivery)
        if port := urlsplit(client.url).port:
            self.protect(port)

    def protect(self, port: int) -> None:
        """Where the server or this endpoint listens: agents may not call it themselves."""
        self._gate.protect(port)

    async def flush(self) -> bool:
        """Deliver what waits, before a run is settled. False when something is left."""
        return await self._delivery.flush()

    @contextlib.asynccontextmanager
    async def delivering(self) -> AsyncIterator[None]:
        """Deliver in the background for as long as the context lasts."""
        task = asyncio.create_task(self._delivery.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self._delivery.flush()
            await self._client.aclose()

    def health(self) -> dict[str, Any]:
        return {
            "status": "ok",
            "runner": True,
            "server": self._client.url,
            "spool": self._spool.status(),
            "trouble": self._delivery.last_error,
        }

    async def hook(self, request: Request) -> Response:
        """Answers 200 with an explicit decision to everything but a wrong host and a wrong credential."""
        try:
            raw = await self._body(request)
            event = read_event(raw)
        except ClientDisconnect:
            return Response(status_code=400)
        except UsageError as error:
            return _decided(answers.control_lost(error.message))
        try:
            session = await self._sessions.of(_bearer(request), event)
        except NotPermitted as error:
            return _unauthenticated(error)
        except Exception as error:  # noqa: BLE001 - the edge: silence would let the call run
            return _decided(_lost(error))
        if event.name != PRE_TOOL_USE:
            await self._hear(session, event)
            return JSONResponse(answers.NOTHING_TO_SAY)
        return await self._answer(request, session, event)

    async def _answer(self, request: Request, session: Session, event: Event) -> Response:
        gone = asyncio.Event()
        watch = asyncio.create_task(_watch(request, gone))
        try:
            decision = await self._gate.decide(session, event, gone)
        except NotPermitted as error:
            if error.code == "unauthenticated":
                return _unauthenticated(error)
            decision = _lost(error)
        except Exception as error:  # noqa: BLE001 - the edge: silence would let the call run
            decision = _lost(error)
        finally:
            watch.cancel()
        if decision.word == "allow":
            self._happenings.allowed(event)
        return _decided(decision)

    async def _hear(self, session: Session, event: Event) -> None:
        try:
            await self._happenings.hear(session, event)
        except Exception:
            # Nothing is decided here; a start without a result becomes a doubt by itself.
            log.exception("the event %s was not recorded", event.name)

    async def _body(self, request: Request) -> bytes:
        limit = self.settings.body_limit
        parts, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size <= limit:
                parts.append(chunk)
        if size > limit:
            raise UsageError(f"the hook's body is larger than {limit} bytes", code="body_too_large")
        return b"".join(parts)

    def allows_host(self, host: str) -> bool:
        """A name that is not loopback's may be a rebound DNS name: a page in a browser, not an agent."""
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        return name.strip("[]") in self.settings.hosts


def create_app(endpoint: HookEndpoint) -> Starlette:
    """The ASGI application. Serve it on loopback only; its lifespan delivers what the spool holds."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with endpoint.delivering():
            yield

    async def hook(request: Request) -> Response:
        if not endpoint.allows_host(request.headers.get("host", "")):
            return JSONResponse({"detail": "unknown host"}, 421)
        return await endpoint.hook(request)

    async def health(request: Request) -> Response:
        if not endpoint.allows_host(request.headers.get("host", "")):
            return JSONResponse({"detail": "unknown host"}, 421)
        return JSONResponse(endpoint.health())

    routes = [Route(PATH, hook, methods=["POST"]), Route("/healthz", health)]
    return Starlette(routes=routes, lifespan=lifespan)


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _decided(decision: answers.Decision) -> Response:
    body = json.dumps(decision.body(), ensure_ascii=True).encode()
    return Response(body, media_type="application/json")


def _lost(error: Exception) -> answers.Decision:
    if isinstance(error, HandfastError):
        return answers.control_lost(error.message)
    if isinstance(error, TimeoutError):
        return answers.control_lost("reading what it does took too long")
    log.error("a hook call failed", exc_info=error)
    return answers.control_lost(f"the runner failed ({type(error).__name__})")


def _unauthenticated(error: NotPermitted) -> Response:
    problem = {
        "type": f"urn:handfast:problem:{error.code}",
        "title": "Unauthorized",
        "status": 401,
        "detail": error.message,
        "code": error.code,
        "hint": error.hint,
        "retryable": False,
    }
    return JSONResponse(problem, 401, {"WWW-Authenticate": "Bearer"}, "application/problem+json")


async def _watch(request: Request, gone: asyncio.Event) -> None:
    """Set `gone` when the agent closes its connection: the person pressed Esc, or the agent died."""
    while not gone.is_set():
        message = await request.receive()
        if message["type"] == "http.disconnect":
            gone.set()
