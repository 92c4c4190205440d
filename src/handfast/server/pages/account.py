"""Set-up through the one-time link, sign-in and sign-out."""

import ipaddress
import threading
import time
from collections import OrderedDict
from typing import Annotated, cast
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from handfast.core.domain.errors import LimitExceeded, RejectedError, UsageError
from handfast.engine.facade import Engine
from handfast.engine.people import NewPerson
from handfast.server.identity import EngineDep
from handfast.server.pages.reader import (
    FormDep,
    ReaderDep,
    check_token,
    has_script,
    page,
)
from handfast.server.sessions import drop_session, session_secret, set_session
from handfast.server.site import Site
from handfast.server.web.pages import Shell, login_page, message_page, setup_page

router = APIRouter()
TRIES, PER_S = 20, 60.0
ADDRESSES = 10_000


class Tries:
    """How often one address may try to sign in: 20 times a minute. The engine also counts wrong passwords."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[str, list[float]] = OrderedDict()

    def take(self, address: str) -> None:
        """Raises LimitExceeded."""
        now = time.monotonic()
        with self._lock:
            recent = [t for t in self._seen.pop(address, []) if now - t < PER_S]
            self._seen[address] = [*recent, now][-TRIES - 1 :]
            while len(self._seen) > ADDRESSES:
                self._seen.popitem(last=False)
        if len(recent) >= TRIES:
            raise LimitExceeded(
                "too many tries from this address", retryable=True, hint="Wait a minute."
            )


def take_try(request: Request) -> None:
    """Counts for the address. Raises LimitExceeded."""
    tries = cast("Tries", request.app.state.tries)
    tries.take(network_of(request))


def network_of(request: Request) -> str:
    """Where a request comes from: its address, of IPv6 the network of 64 bits that one line has."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))


def site_of(request: Request) -> Site:
    return cast("Site", request.app.state.site)


def _outside() -> Shell:
    return Shell(has_js=has_script())


@router.get("/setup/{secret}")
def show_setup(engine: EngineDep, secret: str) -> Response:
    """The form behind the one-time link. Looking does not use the link up."""
    engine.people.check_invitation(secret)
    context = setup_page(shell=_outside(), now=engine.kernel.clock.now(), setup_token=secret)
    return page("setup.html", context)


@router.post("/setup")
@router.post("/setup/{secret}")
def set_up(request: Request, engine: EngineDep, form: FormDep, secret: str = "") -> Response:
    """Make the first account and sign in. The link is used up."""
    take_try(request)
    secret = secret or form.get("token", "")
    name = form.get("name", "").strip()
    login = form.get("login", "").strip()
    new = NewPerson(name, login, form.get("password", ""), form.get("pin", ""))
    try:
        engine.people.set_up(secret, new)
    except UsageError as e:
        context = setup_page(
            shell=_outside(),
            now=engine.kernel.clock.now(),
            setup_token=secret,
            name=name,
            login=login,
            error=f"{e.message}. {e.hint}".strip(),
        )
        return page("setup.html", context, 422)
    return _signed_in(request, engine, login, new.password, "/")


@router.get("/login")
def show_login(
    request: Request,
    engine: EngineDep,
    wanted: Annotated[str, Query(alias="next", max_length=2000)] = "/",
) -> Response:
    if not engine.people.any():
        return _nobody_yet(engine)
    context = login_page(
        shell=_outside(),
        now=engine.kernel.clock.now(),
        next_path=local_path(wanted),
        elsewhere=_elsewhere(request, local_path(wanted)),
    )
    return page("login.html", context)


@router.post("/login")
def log_in(request: Request, engine: EngineDep, form: FormDep) -> Response:
    """A wrong pair shows the form again, without saying which half was wrong."""
    name, wanted = form.get("name", "").strip(), local_path(form.get("next", "/"))
    try:
        take_try(request)
        return _signed_in(request, engine, name, form.get("password", ""), wanted)
    except RejectedError as e:
        context = login_page(
            shell=_outside(),
            now=engine.kernel.clock.now(),
            name=name,
            error=f"{e.message[:1].upper()}{e.message[1:]}. {e.hint}".strip(),
            next_path=wanted,
            elsewhere=_elsewhere(request, wanted),
        )
        return page("login.html", context, 429 if isinstance(e, LimitExceeded) else 403)


@router.post("/logout")
def log_out(request: Request, reader: ReaderDep, form: FormDep) -> Response:
    """Ends the session on the server, whatever the browser keeps."""
    check_token(request, form)
    reader.engine.people.sign_out(reader.secret)
    response = RedirectResponse("/login", 303)
    drop_session(response, secure=site_of(request).secure)
    return response


def _signed_in(
    request: Request, engine: Engine, login: str, password: str, wanted: str
) -> Response:
    """A new session each time: the one that the browser came with is ended."""
    session = engine.people.sign_in(login, password, network_of(request))
    if old := session_secret(request):
        engine.people.sign_out(old)
    response = RedirectResponse(wanted, 303)
    set_session(response, session, secure=site_of(request).secure)
    return response


def _nobody_yet(engine: Engine) -> Response:
    context = message_page(
        "Nobody is set up yet",
        "Open the one-time link that `handfast serve` printed when it started.",
        shell=_outside(),
        now=engine.kernel.clock.now(),
        hint="It is valid for 24 hours. Restart the server for a new one.",
        back=("/", "Try again"),
    )
    return page("message.html", context)


def _elsewhere(request: Request, wanted: str) -> tuple[str, str]:
    """The path and the name of the identity provider; both '' without one."""
    provider = request.app.state.provider
    if provider is None:
        return "", ""
    after = "" if wanted == "/" else "?" + urlencode({"next": wanted})
    return f"/login/oidc{after}", str(provider.settings.name)


def local_path(wanted: str) -> str:
    """A path of this server, or `/`: never another site, whatever a link says."""
    local = wanted.startswith("/") and not wanted.startswith(("//", "/\\"))
    return wanted if local and wanted.isprintable() and "\\" not in wanted else "/"
