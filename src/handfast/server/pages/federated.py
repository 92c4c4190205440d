"""Sign-in at the identity provider: there and back. The way back makes a new session, and decides nothing."""

import hmac
from typing import Annotated, Any, cast

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import RedirectResponse, Response

from handfast.core.domain.errors import NotPermitted
from handfast.engine.facade import Engine
from handfast.engine.federation import Identity
from handfast.engine.people import session_proof
from handfast.engine.proofs import Proven
from handfast.server.identity import EngineDep
from handfast.server.oidc.attempt import COOKIE, GOOD_FOR_S, PATH, Attempt, opened
from handfast.server.pages.account import local_path, site_of, take_try
from handfast.server.pages.reader import FormDep, ReaderDep, check_token
from handfast.server.sessions import session_secret, set_session

router = APIRouter(prefix=PATH)
Word = Annotated[str, Query(max_length=4000)]


@router.get("")
def sign_in_elsewhere(
    request: Request, engine: EngineDep, wanted: Annotated[str, Query(alias="next")] = "/"
) -> Response:
    """Send the browser to the provider."""
    take_try(request)
    return _away(request, engine, local_path(wanted[:2000]), "")


@router.post("/link")
def link_account(request: Request, reader: ReaderDep, form: FormDep) -> Response:
    """Send a signed-in person there, so that the account they come back with signs them in from then on."""
    check_token(request, form)
    return _away(request, reader.engine, "/account", reader.secret)


@router.get("/callback")
def come_back(
    request: Request,
    engine: EngineDep,
    code: Word = "",
    state: Word = "",
    iss: Word = "",
    error: Word = "",
) -> Response:
    """The provider sent the browser back. Only the browser that was sent away is let in."""
    take_try(request)
    provider = _provider(request)
    now = engine.kernel.clock.now().timestamp()
    attempt = opened(request.cookies.get(COOKIE, ""), engine.kernel.vault.stamp, now)
    if attempt is None or not hmac.compare_digest(attempt.state.encode(), state.encode()):
        raise _refused("it was not begun in this browser, or is too old")
    if error or not code:
        raise _refused("the identity provider let nobody in")
    if iss and iss != provider.settings.issuer:
        raise _refused("the answer is of another provider")
    identity: Identity = provider.finish(attempt, code, _callback(request), now)
    response = _let_in(request, engine, attempt, identity)
    response.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="lax")
    return response


def _let_in(
    request: Request, engine: Engine, attempt: Attempt, identity: Identity
) -> RedirectResponse:
    old = session_secret(request)
    if attempt.link:
        person_id = engine.people.of_session(old) if old else ""
        if not person_id or not hmac.compare_digest(attempt.link, _mark(engine, old)):
            raise _refused("the session it was begun in is over")
        person = Proven("person", person_id, "browser", proof=session_proof(old))
        engine.federation.link(person, identity)
        return RedirectResponse(attempt.next_path, 303)
    session = engine.federation.sign_in(identity, _provider(request).settings.mapped)
    if old:
        engine.people.sign_out(old)
    response = RedirectResponse(attempt.next_path, 303)
    set_session(response, session, secure=site_of(request).secure)
    return response


def _away(request: Request, engine: Engine, next_path: str, secret: str) -> Response:
    now = engine.kernel.clock.now().timestamp()
    link = _mark(engine, secret) if secret else ""
    address, attempt = _provider(request).begin(_callback(request), next_path, link, now)
    response = RedirectResponse(address, 303)
    response.set_cookie(
        COOKIE,
        attempt.sealed(engine.kernel.vault.stamp),
        max_age=GOOD_FOR_S,
        httponly=True,
        samesite="lax",
        secure=site_of(request).secure,
        path=PATH,
    )
    return response


def _mark(engine: Engine, secret: str) -> str:
    """Names a session without being of any use to open it."""
    return engine.kernel.vault.stamp("linking", secret.encode()).hex()


def _callback(request: Request) -> str:
    base = site_of(request).public_url or f"{request.url.scheme}://{request.headers['host']}"
    return base.rstrip("/") + PATH + "/callback"


def _provider(request: Request) -> Any:
    found = cast("Any", request.app.state.provider)
    if found is None:
        raise HTTPException(404)
    return found


def _refused(why: str) -> NotPermitted:
    return NotPermitted(f"this sign-in was refused: {why}", hint="Start again at the sign-in page.")
