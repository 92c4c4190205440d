"""The browser's side of identity: the session cookie, form tokens, and the check of where a request came from."""

import hashlib
import hmac
from typing import cast
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from handfast.core.domain.errors import NotPermitted
from handfast.engine.people import OpenSession
from handfast.server.site import Site

COOKIE = "handfast_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def session_secret(request: Request) -> str:
    """What the cookie holds; '' without one, and at a name that other servers of this machine share."""
    site = cast("Site", request.app.state.site)
    if not site.has_pages(request.headers.get("host", "")):
        return ""
    return request.cookies.get(COOKIE, "")


def form_token(secret: str) -> str:
    """Goes into every form of a session. Made from the session's secret, so it needs no store."""
    return hmac.new(secret.encode(), b"handfast form", hashlib.sha256).hexdigest() if secret else ""


def set_session(response: Response, session: OpenSession, *, secure: bool) -> None:
    """Lax and not strict: a link in a notification must open the case, and opening never decides."""
    response.set_cookie(
        COOKIE,
        session.secret,
        expires=session.expires_at,
        httponly=True,
        samesite="lax",
        secure=secure,
        path="/",
    )


def drop_session(response: Response, *, secure: bool) -> None:
    response.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=secure, path="/")


def from_here(request: Request) -> bool | None:
    """Whether the browser says that this very site sent the request; None when it says nothing."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc == request.headers.get("host", "")
    return None


def check_origin(request: Request, token: str = "") -> None:
    """Refuse a state-changing request that another site made the browser send.

    A form token is accepted in place of the browser's word only where the browser says nothing.
    Raises NotPermitted (code `cross_site`).
    """
    if request.method in SAFE_METHODS:
        return
    said = from_here(request)
    if said is None:
        said = token_fits(request, token or request.headers.get("x-csrf-token", ""))
    if not said:
        raise NotPermitted(
            "this request did not come from a page of Handfast",
            code="cross_site",
            hint="Open the page in this browser, reload it, and try again from there.",
        )


def token_fits(request: Request, token: str) -> bool:
    expected = form_token(session_secret(request))
    return bool(expected) and hmac.compare_digest(expected.encode(), token.encode())
