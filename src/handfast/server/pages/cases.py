"""The case page and the form that decides it. Opening a page never decides anything."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from handfast.core.domain.errors import (
    AlreadyDecided,
    HandfastError,
    InvalidTransition,
    StaleDecision,
)
from handfast.core.domain.events_handoff import DecisionKind
from handfast.core.domain.inert import inert
from handfast.engine.handoffs import Decision
from handfast.engine.kernel import Result
from handfast.engine.looks import since_last_look
from handfast.server.pages.account import site_of
from handfast.server.pages.case_acts import act_on
from handfast.server.pages.edits import edit_of, edited_files, unseen
from handfast.server.pages.live import presence_of
from handfast.server.pages.reader import FormDep, Reader, ReaderDep, check_token, page
from handfast.server.web.decision_form import (
    CHANGED,
    DecisionInput,
    FormProblem,
    moved,
    read_decision,
)
from handfast.server.web.edit_view import EditView
from handfast.server.web.pages import Context, case_page, state_fragment
from handfast.server.web.reading import Record, mapping, text

MAX_OPEN: Final = 20


def _known(reader: ReaderDep, handoff_id: str) -> None:
    """Every page and form of a case is of somebody who may know of it."""
    reader.knows("handoff", handoff_id)


router = APIRouter(prefix="/handoffs/{handoff_id}", dependencies=[Depends(_known)])


@router.get("")
def show_case(
    request: Request,
    reader: ReaderDep,
    handoff_id: str,
    edit: Annotated[list[str] | None, Query()] = None,
) -> Response:
    """The case. While it waits, it is recorded that this person had it before them. `edit` opens files of the change
    for editing."""
    handoff = reader.engine.views.handoff(handoff_id)
    if handoff["waiting"]:
        engine, person_id = reader.engine, reader.person_id
        presence_of(request).looked(handoff_id, person_id)
        since = since_last_look(engine.views, engine.kernel, handoff_id, person_id)
        handoff["since_look"] = since or {}
        engine.handoffs.viewed(reader.actor, handoff_id)
    also_open = _also_open(request, reader, handoff_id)
    opened = edit_of(reader, handoff, opened=(edit or ())[:MAX_OPEN])
    return page("case.html", _context(reader, handoff, also_open=also_open, edit=opened))


@router.get("/state")
def show_state(request: Request, reader: ReaderDep, handoff_id: str) -> Response:
    """The line that tells an open page that the case moved on, or that somebody else looks at it."""
    context = state_fragment(
        reader.engine.views.handoff(handoff_id),
        shell=replace(reader.shell(), also_open=_also_open(request, reader, handoff_id)),
        now=reader.engine.kernel.clock.now(),
    )
    return page("_state.html", context)


def _also_open(request: Request, reader: Reader, handoff_id: str) -> tuple[str, ...]:
    """The names of the others who have the case open on this server."""
    found = presence_of(request).others(handoff_id, reader.person_id)
    return tuple(reader.engine.people.name(person_id) for person_id in found[:5])


@router.post("/decide")
def decide(request: Request, reader: ReaderDep, form: FormDep, handoff_id: str) -> Response:
    """Take the form. Refused, it comes back with what was typed and with what to do."""
    check_token(request, form)
    handoff = reader.engine.views.handoff(handoff_id)
    if handoff["decision"]:
        return _refused(reader, handoff, form, _already(handoff), 409)
    if moved(handoff, form):
        return _refused(reader, handoff, form, CHANGED, 409)
    given = read_decision(handoff, form)
    if isinstance(given, FormProblem):
        return _refused(reader, handoff, form, given.message, 422)
    if why := unseen(reader, handoff, form, given):
        return _refused(reader, handoff, form, why, 422)
    decision = _decision(request, handoff_id, given, form.get("assertion", ""))
    try:
        done = reader.engine.handoffs.decide(
            reader.actor, replace(decision, edited_files=edited_files(reader, handoff, form))
        )
    except HandfastError as e:
        problem = reader.problem(e)
        if problem.status in (500, 502):
            raise
        now = reader.engine.views.handoff(handoff_id)
        late = isinstance(e, AlreadyDecided | InvalidTransition) and bool(now["decision"])
        said = _already(now) if late else _said(e)
        return _refused(reader, now, form, said, problem.status)
    return RedirectResponse(f"/handoffs/{done['handoff_id']}", 303)


@router.post("/edit")
def show_edit(request: Request, reader: ReaderDep, form: FormDep, handoff_id: str) -> Response:
    """The page again with what was typed: one more file is open, or the reviewer's own diff is shown. It decides
    nothing."""
    check_token(request, form)
    handoff = reader.engine.views.handoff(handoff_id)
    status = 409 if moved(handoff, form) else 200
    return page("case.html", _context(reader, handoff, typed=form), status)


@router.get("/edit")
def back_to_case(handoff_id: str) -> Response:
    """An address that only a form leads to, opened by itself."""
    return RedirectResponse(f"/handoffs/{handoff_id}", 303)


@router.post("/rating")
def rate(request: Request, reader: ReaderDep, form: FormDep, handoff_id: str) -> Response:
    """Rate the package with one key. Decides nothing."""
    check_token(request, form)
    lacks = [name.removeprefix("lacks_") for name in form if name.startswith("lacks_")]
    good = form.get("rating") == "good"
    try:
        reader.engine.ratings.rate(
            reader.actor,
            handoff_id,
            good=good,
            lacks=() if good else lacks,
            note=form.get("note", ""),
        )
    except HandfastError as e:
        problem = reader.problem(e)
        if problem.status in (500, 502):
            raise
        handoff = reader.engine.views.handoff(handoff_id)
        return page("case.html", _context(reader, handoff, notice=_said(e)), problem.status)
    return RedirectResponse(f"/handoffs/{handoff_id}", 303)


@router.post("/sign")
def sign(request: Request, reader: ReaderDep, form: FormDep, handoff_id: str) -> Response:
    """What the browser has a passkey sign, for this decision of this form. It decides nothing."""
    check_token(request, form)
    handoff = reader.engine.views.handoff(handoff_id)
    given = read_decision(handoff, form)
    if isinstance(given, FormProblem):
        return JSONResponse({"detail": given.message}, 422)
    if why := unseen(reader, handoff, form, given):
        return JSONResponse({"detail": f"{why} Press Show my changes."}, 422)
    wanted = _decision(request, handoff_id, given, "")
    wanted = replace(wanted, edited_files=edited_files(reader, handoff, form))
    return JSONResponse(reader.engine.handoffs.to_sign(reader.actor, wanted))


@router.post("/routing")
def routing(request: Request, reader: ReaderDep, form: FormDep, handoff_id: str) -> Response:
    """Hold, give back, ask others, put off, take an approval back, override. None but the last decides."""
    check_token(request, form)
    try:
        leads_to = act_on(reader, handoff_id, form)
    except HandfastError as e:
        problem = reader.problem(e)
        if problem.status in (500, 502):
            raise
        now = reader.engine.views.handoff(handoff_id)
        return _refused(reader, now, form, _said(e), problem.status)
    return RedirectResponse(f"/handoffs/{leads_to}", 303)


def _decision(request: Request, handoff_id: str, given: DecisionInput, assertion: str) -> Decision:
    return Decision(
        handoff_id=handoff_id,
        kind=DecisionKind(given.kind),
        presented_digest=given.presented_digest,
        reason=given.reason,
        edited=given.edited_command or "",
        answer=given.answer,
        scope=given.scope,
        covers_unshown=given.covers_unshown,
        assertion=assertion,
        relying=site_of(request).relying(request.headers["host"]),
    )


def _refused(
    reader: Reader, handoff: Result, form: Mapping[str, str], said: str, status: int
) -> Response:
    """The page again. Where no form is left to carry the message, it stands on top."""
    context = _context(reader, handoff, typed=form, error=said)
    if context["form"] is None:
        context = _context(reader, handoff, notice=said)
    return page("case.html", context, status)


def _context(
    reader: Reader,
    handoff: Result,
    *,
    typed: Mapping[str, str] | None = None,
    error: str = "",
    notice: str = "",
    also_open: tuple[str, ...] = (),
    edit: EditView | None = None,
) -> Context:
    handoff_id = str(handoff["handoff_id"])
    told = reader.engine.notices.of_handoff(handoff_id)
    closed = reader.engine.handoffs.closed_to(reader.person_id, handoff_id)
    shown = case_page(
        {**handoff, "notices": told, "closed": closed},
        shell=replace(reader.shell(notice), also_open=also_open),
        now=reader.engine.kernel.clock.now(),
        brief=_part(handoff, "brief"),
        run=_part(handoff, "run"),
        typed=typed,
        error=error,
        next_id=_next(reader, handoff_id),
    )
    return {**shown, "edit": edit or edit_of(reader, handoff, form=typed)}


def _part(handoff: Result, name: str) -> Record | None:
    return mapping(handoff, name) or None


def _next(reader: Reader, handoff_id: str) -> str:
    """The first other case that waits, in the order of the queue."""
    waiting = reader.engine.views.first_waiting(2, reader.sight)
    return next((found for found in waiting if found != handoff_id), "")


def _already(handoff: Result) -> str:
    """Who was faster, and when: nothing of this form was taken."""
    decision = mapping(handoff, "decision")
    by, at = text(decision, "by_name", "someone else"), text(decision, "at")[:19].replace("T", " ")
    kind = text(decision, "kind").replace("_", " ")
    return f"Your decision was not taken: {inert(by, 80, multiline=False)} decided first ({kind}, {at} UTC)."


def _said(error: HandfastError) -> str:
    if isinstance(error, StaleDecision):
        return CHANGED
    return f"{error.message[:1].upper()}{error.message[1:]}. {error.hint}".strip()
