"""The list of runs, and one run with its steps."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from handfast.server.pages.reader import ReaderDep, page
from handfast.server.web.pages import STEPS_PER_PAGE, run_page, runs_page

router = APIRouter(prefix="/runs")
Cursor = Annotated[str, Query(max_length=60)]
EVENTS_PER_PAGE = STEPS_PER_PAGE * 2


@router.get("")
def show_runs(reader: ReaderDep, after: Cursor = "") -> Response:
    found = reader.engine.views.runs(after=after, limit=50, within=reader.sight)
    now = reader.engine.kernel.clock.now()
    rows = [_titled(run) for run in found.items]
    return page("runs.html", runs_page(rows, shell=reader.shell(), now=now, next_after=found.next))


@router.get("/{run_id}")
def show_run(reader: ReaderDep, run_id: str, after: Cursor = "") -> Response:
    """A page of steps at a time, oldest first."""
    views = reader.engine.views
    reader.knows("run", run_id)
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
    return page("run.html", context)


def _titled(run: dict[str, object]) -> dict[str, object]:
    """With the intent of its brief, where it has one, and when it began."""
    brief = run.get("brief")
    intent = brief.get("intent", "") if isinstance(brief, dict) else ""
    return {"started_at": run["created_at"], "intent": intent, **run}
