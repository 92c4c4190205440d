"""One's own account: sessions, tokens, password, PIN, passkeys, and the account at the identity provider."""

from collections.abc import Callable, Mapping

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, RedirectResponse, Response

from handfast.core.domain.errors import HandfastError, UsageError
from handfast.core.domain.person import Person
from handfast.engine.agents import IssuedToken
from handfast.server.pages.account import site_of
from handfast.server.pages.reader import (
    FormDep,
    Reader,
    ReaderDep,
    check_header,
    check_token,
    page,
)
from handfast.server.web.account_view import Own, account_page

router = APIRouter(prefix="/account")


class PasskeyWanted(BaseModel):
    """`password` is of who has one here."""

    password: str = Field("", max_length=1000, repr=False)


class NewPasskey(BaseModel):
    label: str = Field(max_length=200)
    ticket: str = Field(max_length=200)
    credential: dict[str, object]


DAYS = ("7", "30", "90", "366")


@router.get("")
def show_own_account(request: Request, reader: ReaderDep) -> Response:
    return _page(request, reader)


@router.post("")
def change_own_account(request: Request, reader: ReaderDep, form: FormDep) -> Response:
    """One of the buttons of the page. A new token is shown in the answer, and nowhere else."""
    check_token(request, form)
    act = _ACTS.get(form.get("act", ""))
    try:
        if act is None:
            raise UsageError("that is not offered here", hint="Choose one of the buttons.")
        said = act(reader, form)
    except HandfastError as e:
        problem = reader.problem(e)
        if problem.status in (500, 502):
            raise
        words = f"{e.message[:1].upper()}{e.message[1:]}. {e.hint}".strip()
        return _page(request, reader, error=words, status=problem.status)
    if isinstance(said, IssuedToken):
        return _page(request, reader, issued=said)
    return RedirectResponse("/account", 303)


def _page(
    request: Request,
    reader: Reader,
    *,
    error: str = "",
    issued: IssuedToken | None = None,
    status: int = 200,
) -> Response:
    engine, person_id = reader.engine, reader.person_id
    person = engine.kernel.state(Person, person_id)
    provider = request.app.state.provider
    shown = Own(
        person=person,
        projects=[
            str(p["name"])
            for p in engine.knowing.projects()
            if engine.knowing.is_member(person, str(p["project_id"]))
        ],
        sees_all=reader.sight is None,
        sessions=engine.sessions.of(person_id, reader.secret),
        tokens=engine.own_tokens.of(person_id),
        passkeys=[(k, engine.views.text(k.label)) for k in person.passkeys],
        provider=str(provider.settings.name) if provider is not None else "",
        has_password=engine.proving.by_password(person_id),
        fresh=engine.proving.is_fresh(person_id, reader.secret),
        error=error,
        issued=issued,
    )
    context = account_page(shown, shell=reader.shell(), now=engine.kernel.clock.now())
    return page("account.html", context, status)


def _json(body: dict[str, object]) -> Response:
    return JSONResponse(body)


@router.post("/passkeys/offer")
def offer_passkey(request: Request, reader: ReaderDep, asked: PasskeyWanted) -> Response:
    """What the browser needs to make a passkey, for who proves themselves once more."""
    check_header(request)
    to = site_of(request).relying(request.headers["host"])
    passkeys, actor, secret = reader.engine.passkeys, reader.actor, reader.secret
    return _json(passkeys.offer(actor, to, secret=secret, password=asked.password))


@router.post("/passkeys")
def add_passkey(request: Request, reader: ReaderDep, asked: NewPasskey) -> Response:
    """The passkey that the browser made for an offer."""
    check_header(request)
    to = site_of(request).relying(request.headers["host"])
    made = reader.engine.passkeys.add(reader.actor, to, asked.label, asked.ticket, asked.credential)
    return _json(made)


Form = Mapping[str, str]


def _issue(reader: Reader, form: Form) -> IssuedToken:
    days, scopes = form.get("days", "30"), ("read", "write")
    if days not in DAYS:
        raise UsageError("`days` is none of those offered")
    wanted = scopes if form.get("scope") == "write" else ("read",)
    return reader.engine.own_tokens.issue(
        reader.actor, form.get("label", ""), wanted, int(days) * 86_400
    )


def _password(reader: Reader, form: Form) -> object:
    if form.get("new", "") != form.get("again", ""):
        raise UsageError("the two new passwords are not the same")
    return reader.engine.sessions.change_password(
        reader.actor, form.get("old", ""), form.get("new", ""), reader.secret
    )


def _pin(reader: Reader, form: Form) -> object:
    if form.get("pin", "") != form.get("pin_again", ""):
        raise UsageError("the two PINs are not the same")
    return reader.engine.pins.set(
        reader.actor, form.get("pin", ""), secret=reader.secret, password=form.get("old", "")
    )


_ACTS: Mapping[str, Callable[[Reader, Form], object]] = {
    "end": lambda r, f: r.engine.sessions.end(r.actor, f.get("session", "")),
    "end-others": lambda r, _: r.engine.sessions.end_all(r.actor, r.secret),
    "issue": _issue,
    "revoke": lambda r, f: r.engine.own_tokens.revoke(r.actor, f.get("token", "")),
    "password": _password,
    "pin": _pin,
    "unlink": lambda r, f: r.engine.federation.unlink(r.actor, f.get("account", "")),
    "remove-passkey": lambda r, f: r.engine.passkeys.remove(r.actor, f.get("passkey", "")),
}
