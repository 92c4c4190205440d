"""The signed-in person behind a page, and what surrounds every page."""

import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, cast
from urllib.parse import quote

from fastapi import Depends, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from handfast.core.domain.errors import HandfastError, NotFound, NotPermitted
from handfast.core.domain.events import Actor, from_bytes
from handfast.core.domain.events_org import HookPaused
from handfast.core.domain.need import Need
from handfast.core.domain.project import Sight
from handfast.engine.access import Principal, PrincipalKind
from handfast.engine.facade import Engine
from handfast.engine.people import session_proof
from handfast.engine.proofs import Proven
from handfast.engine.queues import waiting_by_need
from handfast.server.problems import Problem, problem_of
from handfast.server.rates import count
from handfast.server.refusals import known_as, note, operation_of
from handfast.server.sessions import (
    SAFE_METHODS,
    check_origin,
    form_token,
    session_secret,
    token_fits,
)
from handfast.server.web.frame import Shell
from handfast.server.web.render import render

MAX_FIELDS = 80
Cursor = Annotated[str, Query(max_length=60)]


class SignInNeeded(Exception):
    """Answered by a redirect to the sign-in page, or by 401 for a part of a page."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A signed-in person."""

    engine: Engine
    person_id: str
    secret: str
    operation: str = "page"

    @property
    def actor(self) -> Actor:
        return Proven("person", self.person_id, "browser", proof=session_proof(self.secret))

    @property
    def sight(self) -> Sight | None:
        """What they may know of; None is everything."""
        return self.engine.knowing.sight(self.person_id)

    def problem(self, error: HandfastError) -> Problem:
        """What an error is to this reader. A refusal is put into the audit trail."""
        note(self.engine, self.actor, self.operation, error)
        return problem_of(error)

    def knows(self, kind: str, item: str) -> None:
        """Raises NotFound for what they may not know of; the try is put into the audit trail."""
        try:
            self.engine.knowing.check(self.person_id, kind, item)
        except NotFound:
            self.engine.access.refused(self.actor, "page", f"need to know of {kind} {item}")
            raise

    def knows_policy(self, scope: str) -> None:
        """As `knows`, of the rules of a scope."""
        try:
            self.engine.knowing.check_policy(self.person_id, scope)
        except NotFound:
            why = f"need to know of the policy of {scope[:200]}"
            self.engine.access.refused(self.actor, "page", why)
            raise

    def shell(self, notice: str = "", by_need: Mapping[Need, int] | None = None) -> Shell:
        """`by_need` is how many wait, where it is known already."""
        if by_need is None:
            by_need = waiting_by_need(self.engine.kernel, self.sight)
        return Shell(
            person_name=self.engine.people.name(self.person_id),
            person_id=self.person_id,
            csrf_token=form_token(self.secret),
            has_js=has_script(),
            waiting=sum(number for need, number in by_need.items() if need is not Need.LATER),
            checkpoints=self.engine.checkpoints.in_use(),
            hooks_pause=hooks_pause(self.engine),
            stopped=tuple(str(s["says"]) for s in self.engine.switch.status()[:5]),
            notice=notice,
        )


def reader(request: Request) -> Reader:
    """Raises SignInNeeded, and LimitExceeded for too much that is sent: pages that are looked at are not
    counted."""
    engine = cast("Engine", request.app.state.engine)
    secret = session_secret(request)
    person_id = engine.people.of_session(secret) if secret else ""
    if not person_id:
        raise SignInNeeded
    found = Reader(engine, person_id, secret, operation_of(request))
    known_as(request, found.actor)
    if request.method not in SAFE_METHODS:
        count(request, Principal(PrincipalKind.PERSON, person_id))
    return found


ReaderDep = Annotated[Reader, Depends(reader)]


async def submitted(request: Request) -> dict[str, str]:
    return await fields_of_form(request, MAX_FIELDS)


async def fields_of_form(request: Request, most: int) -> dict[str, str]:
    """The fields of a form, text only. Raises NotPermitted for a form that another site sent."""
    async with request.form(max_files=0, max_fields=most) as form:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
    check_origin(request, fields.get("csrf_token", ""))
    return fields


FormDep = Annotated[dict[str, str], Depends(submitted)]


def check_token(request: Request, form: Mapping[str, str]) -> None:
    """A form of a session carries that session's token, whatever the browser says of its origin."""
    if not token_fits(request, form.get("csrf_token", "")):
        raise NotPermitted(
            "this form belongs to another session",
            code="cross_site",
            hint="Go back, reload the page, and send the form again. What you typed is kept.",
        )


def check_header(request: Request) -> None:
    """The same for a request of a script, which carries the token as a header."""
    check_origin(request)
    if not token_fits(request, request.headers.get("x-csrf-token", "")):
        raise NotPermitted(
            "this request belongs to another session", code="cross_site", hint="Reload the page."
        )


def page(template: str, context: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    return HTMLResponse(render(template, context), status)


def to_sign_in(request: Request) -> Response:
    """Where somebody without a session goes; back to what they asked for after that."""
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": "/login"})
    wanted = request.url.path if request.method == "GET" else "/"
    query = f"?{request.url.query}" if request.url.query and request.method == "GET" else ""
    after = "" if wanted == "/" else "?next=" + quote(wanted + query, safe="/")
    return RedirectResponse("/login" + after, 303)


def hooks_pause(engine: Engine) -> Mapping[str, object] | None:
    """Until when, by whom and why the hooks are paused."""
    until = engine.hooks.status()["paused_until"]
    if not until:
        return None
    row = engine.kernel.store.load("installation/1")
    rows = engine.kernel.store.events(
        stream="installation/1", after=max(0, row.version - 500) if row else 0, limit=500
    )
    for recorded in map(from_bytes, (r.data for r in reversed(rows))):
        if isinstance(recorded.event, HookPaused):
            by, why = recorded.actor.id, engine.views.text(recorded.event.reason)
            return {"until": until, "by_name": engine.people.name(by), "reason": why}
    return {"until": until}


@cache
def has_script() -> bool:
    """Whether the browser script was built into this installation."""
    script = importlib.resources.files("handfast.server.web") / "dist" / "app.js"
    return script.is_file()
