"""Delegated work: tasks with their briefs."""

from typing import Annotated

from fastapi import APIRouter, Header, Query

from handfast.core.domain.brief import parse_brief
from handfast.engine.tasks import NewTask
from handfast.server.api.schema_work import Created, TaskIn, TaskOut, TaskPage
from handfast.server.identity import CallerDep

router = APIRouter(prefix="/v1/tasks", tags=["tasks"])
Key = Annotated[str, Header(alias="Idempotency-Key", max_length=200)]
After = Annotated[str, Query(pattern=r"^([0-9]{1,3}\.[0-9]{1,18})?$")]
Limit = Annotated[int, Query(ge=1, le=500)]


@router.post("", status_code=201)
def create_task(caller: CallerDep, asked: TaskIn, idempotency_key: Key = "") -> Created:
    """Delegate a piece of work. With an `Idempotency-Key` a repeat gets the first task again."""
    new = NewTask(
        brief=parse_brief(asked.brief),
        repository=caller.works_in(asked.repository),
        target_branch=asked.target_branch,
        base_commit=asked.base_commit,
        request_key=caller.key(idempotency_key),
        parent=caller.task(asked.parent) if asked.parent else "",
    )
    return Created.model_validate(caller.engine.tasks.create(caller.actor, new))


@router.get("")
def list_tasks(caller: CallerDep, after: After = "", limit: Limit = 50) -> TaskPage:
    """Newest first."""
    page = caller.engine.views.tasks(after=after, limit=limit, within=caller.sight)
    return TaskPage.model_validate({"items": page.items, "next": page.next})


@router.get("/{task_id}")
def get_task(caller: CallerDep, task_id: str) -> TaskOut:
    return TaskOut.model_validate(caller.engine.views.task(caller.task(task_id)))
