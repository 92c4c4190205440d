"""The list of tasks, and one task with its brief, runs and handoffs."""

from fastapi import APIRouter
from starlette.responses import Response

from handfast.server.pages.reader import Cursor, ReaderDep, page
from handfast.server.pages.runs import titled
from handfast.server.web.task_view import task_page, tasks_page

router = APIRouter(prefix="/tasks")
SHOWN, OF_TASK = 50, 100


@router.get("")
def show_tasks(reader: ReaderDep, after: Cursor = "") -> Response:
    found = reader.engine.views.tasks(after=after, limit=SHOWN, within=reader.sight)
    now = reader.engine.kernel.clock.now()
    context = tasks_page(
        found.items, shell=reader.shell(), now=now, after=after, next_after=found.next
    )
    return page("tasks.html", context)


@router.get("/{task_id}")
def show_task(reader: ReaderDep, task_id: str) -> Response:
    reader.knows("task", task_id)
    views = reader.engine.views
    task = views.task(task_id)
    asked_by = str(task.get("requested_by") or "")
    context = task_page(
        task,
        [titled(run) for run in views.runs(task_id=task_id, limit=OF_TASK).items],
        views.handoffs("all", task_id=task_id, limit=OF_TASK).items,
        shell=reader.shell(),
        now=reader.engine.kernel.clock.now(),
        requested_by=reader.engine.people.name(asked_by) if asked_by else "",
    )
    return page("task.html", context)
