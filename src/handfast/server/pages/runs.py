"""The list of runs, and one run: its steps, its events one by one, and the state that any of them led to."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from handfast.engine.histories import RunThen, run_then, version_of_step
from handfast.engine.kernel import Result
from handfast.server.pages.reader import Cursor, Reader, ReaderDep, page
from handfast.server.web.pages import STEPS_PER_PAGE, Context, run_page, runs_page

router = APIRouter(prefix="/runs")
EVENTS_PER_PAGE = STEPS_PER_PAGE * 2
At = Annotated[int, Query(ge=0, lt=2**53)]
StepId = Annotated[str, Query(max_length=80)]


@router.get("")
def show_runs(reader: ReaderDep, after: Cursor = "") -> Response:
    found = reader.engine.views.runs(after=after, limit=50, within=reader.sight)
    now = reader.engine.kernel.clock.now()
    rows = [titled(run) for run in found.items]
    return page("runs.html", runs_page(rows, shell=reader.shell(), now=now, next_after=found.next))


@router.get("/{run_id}")
def show_run(
    reader: ReaderDep, run_id: str, after: Cursor = "", at: At = 0, around: StepId = ""
) -> Response:
    """A page of steps, oldest first; `around` finds the page of a step. With `at` the run as it was after
    so many of its events."""
    return page("run.html", run_context(reader, run_id, after, at, around))


def run_context(
    reader: Reader,
    run_id: str,
    after: str = "",
    at: int = 0,
    around: str = "",
    refused: Result | None = None,
) -> Context:
    """`refused` is what was typed into a form of the page and why it was not taken."""
    views = reader.engine.views
    reader.knows("run", run_id)
    then = run_then(reader.engine, run_id, at)
    run = views.run(run_id)
    start = int(after) if after.isascii() and after.isdigit() and len(after) < 16 else 0
    if around and not start:
        start = max(0, version_of_step(reader.engine, run_id, around) - 20)
    steps = _steps(reader, run_id, start, then if at else None)
    return run_page(
        titled(run) | {"then": _then(then, asked=bool(at)), "refused": refused or {}},
        steps[0],
        shell=reader.shell(),
        now=reader.engine.kernel.clock.now(),
        handoffs=views.handoffs("all", run_id=run_id, limit=50).items,
        after=str(start or ""),
        next_after=str(steps[1] or ""),
    )


def _steps(
    reader: Reader, run_id: str, start: int, then: RunThen | None
) -> tuple[list[Result], object]:
    """A page of steps and where the next begins; looking back, the last ones up to then."""
    if then is None:
        found = reader.engine.views.steps(run_id, start, EVENTS_PER_PAGE)
    else:
        first = max(0, then.at - EVENTS_PER_PAGE)
        found = reader.engine.views.steps(run_id, first, then.at - first) | {"next": 0}
    items = found["items"]
    return items if isinstance(items, list) else [], found["next"]


def _then(then: RunThen, *, asked: bool) -> Result:
    return {
        "at": then.at,
        "last": then.last,
        "asked": asked,
        "state": titled(then.state),
        "entries": list(then.entries),
    }


def titled(run: Result) -> Result:
    """With the intent of its brief, where it has one, and when it began."""
    brief = run.get("brief")
    intent = brief.get("intent", "") if isinstance(brief, dict) else ""
    return {"started_at": run["created_at"], "intent": intent, **run}
