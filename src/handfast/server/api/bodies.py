"""What a task's bodies hold, their erasure on request, and the legal hold that forbids it."""

from fastapi import APIRouter

from handfast.server.api import schema_bodies as schema
from handfast.server.identity import CallerDep

router = APIRouter(prefix="/v1/tasks/{task_id}", tags=["tasks"])


@router.get("/bodies")
def get_task_bodies(caller: CallerDep, task_id: str) -> schema.BodiesOut:
    """How much of which kind of content the task left, and whether it may be erased now."""
    return schema.BodiesOut.model_validate(caller.engine.erasure.standing(caller.task(task_id)))


@router.post("/bodies/erase")
def erase_task_bodies(caller: CallerDep, task_id: str, asked: schema.EraseIn) -> schema.Erased:
    """Overwrite the content of the task's bodies for good. The proofs of the log stay valid; who, why and
    which is recorded. Refused under a legal hold, with an open handoff, and while a run goes on.
    """
    person = caller.keeper(asked.person, asked.pin, task_id)
    kinds = [kind.value for kind in asked.kinds]
    done = caller.engine.erasure.erase(person, task_id, asked.reason, kinds)
    return schema.Erased.model_validate(done)


@router.post("/hold")
def hold_task(caller: CallerDep, task_id: str, asked: schema.HoldIn) -> schema.Held:
    """A legal hold: nothing of the task is erased, by nobody and no retention, until it is released."""
    person = caller.keeper(asked.person, asked.pin, task_id)
    return schema.Held.model_validate(caller.engine.erasure.hold(person, task_id, asked.reason))


@router.post("/release")
def release_task(caller: CallerDep, task_id: str, asked: schema.HoldIn) -> schema.Held:
    """End a legal hold."""
    person = caller.keeper(asked.person, asked.pin, task_id)
    return schema.Held.model_validate(caller.engine.erasure.release(person, task_id, asked.reason))
