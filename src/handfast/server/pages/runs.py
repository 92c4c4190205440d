"""The list of runs, and one run with its steps."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from handfast.core.domain.errors import HandfastError
from handfast.server.pages.reader import FormDep, Reader, ReaderDep, check_token, page
from handfast.server.problems import problem_of
from handfast.server.web.pages import STEPS_PER_PAGE, run_page, runs_page
from handfast.server.web.takeover_view import in_hands

router = APIRouter(prefix="/runs")
Cursor = Annotated[str, Query(max_length=60)]
EVENTS_PER_PAGE = STEPS_PER_PAGE * 2


@router.get("")
def show_runs(reader: ReaderDep, after: Cursor = "") -> Response:
    found = reader.engine.views.runs(after=after, limit=50)
    now = reader.engine.kernel.clock.now()
    rows = [_titled(run) for run in found.items]
    return page("runs.html", runs_page(rows, shell=reader.shell(), now=now, next_after=found.next))


@router.get("/{run_id}")
def show_run(reader: ReaderDep, run_id: str, after: Cursor = "") -> Response:
    """A page of steps at a time, oldest first."""
    return _page(reader, run_id, after)


@router.post("/{run_id}/take-over")
def take_over(request: Request, reader: ReaderDep, form: FormDep, run_id: str) -> Response:
    """The agent is stopped and the worktree is the person's. Refused, the form comes back."""
    check_token(request, form)
    words = form.get("reason", "")
    takeovers = reader.engine.takeovers
    return _act(reader, run_id, words, lambda: takeovers.take(reader.actor, run_id, words))


@router.post("/{run_id}/hand-back")
def hand_back(request: Request, reader: ReaderDep, form: FormDep, run_id: str) -> Response:
    check_token(request, form)
    note, then = form.get("note", ""), form.get("then", "resume")
    takeovers = reader.engine.takeovers
    back = lambda: takeovers.hand_back(reader.actor, run_id, note, then)  # noqa: E731
    return _act(reader, run_id, note, back)


def _act(reader: Reader, run_id: str, words: str, act: Callable[[], object]) -> Response:
    try:
        act()
    except HandfastError as error:
        problem = problem_of(error)
        if problem.status in (404, 500, 502):
            raise
        said = f"{error.message[:1].upper()}{error.message[1:]}. {error.hint}".strip()
        return _page(reader, run_id, error=said, typed=words, status=problem.status)
    return RedirectResponse(f"/runs/{run_id}#hands", 303)


def _page(
    reader: Reader,
    run_id: str,
    after: str = "",
    *,
    error: str = "",
    typed: str = "",
    status: int = 200,
) -> Response:
    views = reader.engine.views
    run = views.run(run_id)
    start = int(after) if after.isascii() and after.isdigit() and len(after) < 16 else 0
    steps = views.steps(run_id, start, EVENTS_PER_PAGE)
    items, following = steps["items"], steps["next"]
    context = run_page(
        _titled(run),
        items if isinstance(items, list) else [],
        shell=reader.shell(),
        now=reader.engine.kernel.clock.now(),
        handoffs=views.handoffs("all", run_id=run_id, limit=50).items,
        after=str(start or ""),
        next_after=str(following or ""),
    )
    hands = in_hands(run, reader.person_id, error, typed)
    return page("run.html", {**context, "hands": hands}, status)


def _titled(run: dict[str, object]) -> dict[str, object]:
    """With the intent of its brief, where it has one, and when it began."""
    brief = run.get("brief")
    intent = brief.get("intent", "") if isinstance(brief, dict) else ""
    return {"started_at": run["created_at"], "intent": intent, **run}
