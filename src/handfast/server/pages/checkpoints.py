"""The pages of checkpoints: what waits for one, and one with all its asks on a page, decided in one pass."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from handfast.core.domain.checkpoint import MAX_HANDOFFS, Checkpoint
from handfast.core.domain.errors import HandfastError, NotFound
from handfast.core.domain.events_handoff import DecisionKind
from handfast.engine.kernel import Result
from handfast.engine.passes import Item, Pass
from handfast.server.pages.reader import Reader, ReaderDep, check_token, fields_of_form, page
from handfast.server.web.checkpoint_pages import checkpoint_page, checkpoints_page
from handfast.server.web.checkpoint_view import read_pass
from handfast.server.web.decision_form import DecisionInput

router = APIRouter(prefix="/checkpoints")
_FIELDS_AN_ITEM = 6


async def _submitted(request: Request) -> dict[str, str]:
    return await fields_of_form(request, 20 + _FIELDS_AN_ITEM * MAX_HANDOFFS)


PassDep = Annotated[dict[str, str], Depends(_submitted)]


@router.get("")
def show_checkpoints(reader: ReaderDep) -> Response:
    return _list(reader)


@router.post("/open")
def open_now(request: Request, reader: ReaderDep, form: PassDep) -> Response:
    """Ask now: one handoff, or all that waits for the reader. Decides nothing."""
    check_token(request, form)
    wanted = form.get("handoff_id", "")
    if wanted:
        reader.knows("handoff", wanted)
    try:
        done = reader.engine.checkpoints.open_now(reader.actor, (wanted,) if wanted else ())
    except HandfastError as e:
        problem = reader.problem(e)
        if problem.status in (500, 502):
            raise
        return _list(reader, _said(e), problem.status)
    return RedirectResponse(f"/checkpoints/{done['checkpoint_id']}", 303)


@router.get("/{checkpoint_id}")
def show_checkpoint(reader: ReaderDep, checkpoint_id: str) -> Response:
    """All asks of it. It is recorded for those that wait that this person had them before them."""
    found = _known(reader, checkpoint_id)
    for item in _items(found):
        if item["waiting"]:
            reader.engine.handoffs.viewed(reader.actor, str(item["handoff_id"]))
    return _one(reader, found)


@router.post("/{checkpoint_id}/decide")
def decide_pass(request: Request, reader: ReaderDep, form: PassDep, checkpoint_id: str) -> Response:
    """Take what can be taken. What is refused comes back with what was typed, the rest stands."""
    check_token(request, form)
    found = _known(reader, checkpoint_id)
    taken, problems = read_pass(found, form)
    if taken:
        items = tuple(_item(handoff_id, given) for handoff_id, given in taken)
        given = Pass(checkpoint_id, items, form.get("reason", "").replace("\r\n", "\n").strip())
        done = reader.engine.checkpoints.passes.decide(reader.actor, given, reader.problem)
        problems |= _refusals(done)
    elif not problems:
        return _one(reader, found, form, {}, "Nothing was chosen, so nothing was decided.", 422)
    if not problems:
        return RedirectResponse(f"/checkpoints/{checkpoint_id}", 303)
    now = _known(reader, checkpoint_id)
    stands = len({h for h, _ in taken} - problems.keys())
    said = f"{stands} recorded, {len(problems)} not: what is missing stands at each."
    return _one(reader, now, form, problems, said, 422)


def _known(reader: Reader, checkpoint_id: str) -> Result:
    """What this person may know of it. Raises NotFound where that is nothing; the try is recorded."""
    engine = reader.engine
    engine.kernel.state(Checkpoint, checkpoint_id)
    try:
        return engine.checkpoint_views.checkpoint(checkpoint_id, reader.sight)
    except NotFound:
        why = f"need to know of checkpoint {checkpoint_id}"
        engine.access.refused(reader.actor, "page", why)
        raise


def _item(handoff_id: str, given: DecisionInput) -> Item:
    return Item(
        handoff_id=handoff_id,
        kind=DecisionKind(given.kind),
        presented_digest=given.presented_digest,
        reason=given.reason,
        answer=given.answer,
        scope=given.scope,
    )


def _refusals(done: Result) -> dict[str, str]:
    results = done["results"]
    found: dict[str, str] = {}
    for result in results if isinstance(results, list) else []:
        if refused := result["refused"]:
            said = f"{refused['message'][:1].upper()}{refused['message'][1:]}. {refused['hint']}"
            found[str(result["handoff_id"])] = said.strip()
    return found


def _items(found: Result) -> list[Result]:
    items = found["items"]
    return items if isinstance(items, list) else []


def _one(
    reader: Reader,
    found: Result,
    typed: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
    notice: str = "",
    status: int = 200,
) -> Response:
    context = checkpoint_page(
        found,
        shell=reader.shell(notice),
        now=reader.engine.kernel.clock.now(),
        typed=typed,
        problems=problems,
    )
    return page("checkpoint.html", context, status)


def _list(reader: Reader, notice: str = "", status: int = 200) -> Response:
    views = reader.engine.checkpoint_views
    context = checkpoints_page(
        views.checkpoints(reader.sight),
        views.deferred(reader.sight),
        shell=reader.shell(notice),
        now=reader.engine.kernel.clock.now(),
        told_today=views.told_today(reader.person_id),
    )
    return page("checkpoints.html", context, status)


def _said(error: HandfastError) -> str:
    return f"{error.message[:1].upper()}{error.message[1:]}. {error.hint}".strip()
