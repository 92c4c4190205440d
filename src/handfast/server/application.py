"""The application: routes, error answers, and what runs beside them."""

from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from handfast import __version__
from handfast.core.domain.errors import HandfastError, NotPermitted
from handfast.engine.channels.sending import notifiers
from handfast.engine.facade import Engine
from handfast.engine.relay.relay import Relay
from handfast.engine.relay.routing import Routes
from handfast.server.announce import announcer
from handfast.server.api import actions
from handfast.server.api.document import document
from handfast.server.api.router import add_api
from handfast.server.background import Background
from handfast.server.direct import THREADS, Direct
from handfast.server.guard import BodyTooLarge, Guard, log, too_large
from handfast.server.hub import Hub
from handfast.server.oidc.settings import read_settings
from handfast.server.pages.account import Tries
from handfast.server.pages.failures import page_of, wants_page
from handfast.server.pages.router import add_pages
from handfast.server.presence import Presence
from handfast.server.problems import Problem, problem_of, problem_response, retry_after
from handfast.server.rates import Rates
from handfast.server.refusals import note_refusal
from handfast.server.site import Site
from handfast.server.tracing import Tracing
from handfast.server.waiting import STOPPING

if TYPE_CHECKING:
    from handfast.server.oidc.provider import Provider

DESCRIPTION = "Stop, hand over, decide, resume, with proof: the control plane for coding agents."
Say = Callable[[str], None]


def create_app(
    engine: Engine,
    *,
    runner_inline: bool = False,
    site: Site | None = None,
    url: str = "",
    say: Say | None = None,
    relay: bool = False,
) -> FastAPI:
    """The whole server as one ASGI application. The engine stays the caller's to close.

    `url` is put before the links that `say` announces; `say` defaults to the server's log. With `relay`
    it delivers what is posted, once `app.state.relay.begin` was called; one application a process may.
    """
    site = site or Site()
    app = FastAPI(
        title="Handfast",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(engine),
    )
    app.state.engine = engine
    app.state.site = site
    app.state.hub = Hub(engine.kernel.store)
    app.state.runner_inline = runner_inline
    app.state.tries = Tries()
    app.state.rates = Rates(engine.kernel.settings)
    app.state.provider = _provider(engine)
    app.state.presence = Presence()
    routes = Routes([announcer(engine, url, say or log.info), *notifiers(engine, url)])
    made = Relay(engine.kernel, engine.deliveries, engine.database, routes) if relay else None
    app.state.relay = made
    app.state.gate_threads = ThreadPoolExecutor(THREADS, "handfast-gate")
    add_api(app)
    app.openapi = lambda: document(app)  # type: ignore[method-assign]  # as FastAPI documents it
    add_pages(app)
    _answer_errors(app)
    app.add_middleware(Direct, routes=actions.direct_routes(), refusal=_expected)
    app.add_middleware(Guard, site=site, answer=_answer)
    if engine.kernel.telemetry.on:
        app.add_middleware(Tracing, telemetry=engine.kernel.telemetry)
    return app


def _provider(engine: Engine) -> "Provider | None":
    """Its libraries are loaded where one is configured. Raises UsageError for settings that cannot be taken."""
    settings = read_settings(engine.home)
    if settings is None:
        return None
    from handfast.server.oidc.provider import Provider

    return Provider(settings)


def _lifespan(
    engine: Engine,
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        hub: Hub = app.state.hub
        background = Background(engine, app.state.relay)
        await to_thread.run_sync(engine.server_started, __version__)
        await hub.start()
        background.start()
        try:
            yield
        finally:
            await hub.stop()
            await to_thread.run_sync(background.stop)
            app.state.gate_threads.shutdown(wait=False)

    return lifespan


def _answer_errors(app: FastAPI) -> None:
    app.add_exception_handler(HandfastError, _expected)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)


def _answer(request: Request, problem: Problem) -> Response:
    """A page for a person in a browser, problem+json for everything else."""
    if not wants_page(request):
        return problem_response(problem)
    response = page_of(request, problem)
    response.headers.update(retry_after(problem))
    return response


async def _expected(request: Request, error: Exception) -> Response:
    if not isinstance(error, HandfastError):
        raise error
    problem = problem_of(error)
    if isinstance(error, NotPermitted):
        await to_thread.run_sync(note_refusal, request, error)
    if problem.status >= 500 and error.code != STOPPING:
        log.error("%s in %s %s: %s", error.code, request.method, request.url.path, error.message)
    return await to_thread.run_sync(_answer, request, problem)


async def _http(request: Request, error: Exception) -> Response:
    if isinstance(error, BodyTooLarge):
        return _answer(request, too_large(error.limit))
    if not isinstance(error, HTTPException):
        raise error
    return await to_thread.run_sync(_answer, request, _http_problem(request, error))


def _http_problem(request: Request, error: HTTPException) -> Problem:
    match error.status_code:
        case 404:
            return Problem(404, "not_found", f"there is nothing at `{request.url.path}`")
        case 405:
            detail = f"`{request.url.path}` does not take {request.method}"
            return Problem(405, "method_not_allowed", detail, "The routes are in /openapi.json.")
        case status:
            return Problem(status, "invalid_request", str(error.detail))


async def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    wrong = [_wrong(each) for each in error.errors()[:20]]
    said = "; ".join(f"`{e['field']}`: {e['message']}" for e in wrong[:3])
    hint = "The members of each request are in /openapi.json."
    problem = Problem(
        422, "invalid_request", f"the request is wrong: {said}", hint, details={"errors": wrong}
    )
    return await to_thread.run_sync(_answer, request, problem)


def _wrong(each: Mapping[str, Any]) -> dict[str, str]:
    """Which member is wrong, and why. The value itself is not repeated: it may be a secret."""
    if each["type"] == "json_invalid":
        return {"field": "body", "message": f"not JSON: {each.get('ctx', {}).get('error', '')}"}
    path = [str(part) for part in each["loc"]]
    return {"field": ".".join(path[1:] or path), "message": str(each["msg"])}
