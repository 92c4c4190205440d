"""The registry of runners, and how one of their processes comes and goes."""

from fastapi import APIRouter

from handfast.core.domain.errors import NotPermitted
from handfast.engine.runners import NewRunner, Process
from handfast.server.api import schema_runner as schema
from handfast.server.api.schema_org import ReasonIn
from handfast.server.api.tasks import Key
from handfast.server.identity import Caller, CallerDep

router = APIRouter(prefix="/v1/runners", tags=["runners"])


@router.get("")
def list_runners(caller: CallerDep) -> schema.RunnerList:
    """Oldest first, each with when it was last heard of and the runs it holds, as far as the caller may know."""
    return schema.RunnerList.model_validate({"items": caller.engine.runners.all(caller.sight)})


@router.post("", status_code=201)
def create_runner(caller: CallerDep, asked: schema.RunnerIn) -> schema.RunnerToken:
    """Names are unique among runners that are not retired."""
    new = NewRunner(asked.name, asked.repositories, asked.agents, asked.labels)
    return schema.RunnerToken.model_validate(caller.engine.runners.add(caller.actor, new))


@router.post("/start")
def start_runner(
    caller: CallerDep, asked: schema.RunnerStartIn, idempotency_key: Key = ""
) -> schema.RunnerStarted:
    """A process begins to work. Earlier ones of the same runner are refused from now on."""
    process = Process(asked.host, asked.pid, asked.version, asked.capacity, asked.name)
    own, key = caller.principal.runner_id, caller.key(idempotency_key)
    done = caller.engine.runners.start(caller.actor, own, process, request_key=key)
    return schema.RunnerStarted.model_validate(done)


@router.post("/{runner_id}/heartbeat")
def heartbeat_runner(
    caller: CallerDep, runner_id: str, asked: schema.RunnerBeatIn
) -> schema.RunnerBeat:
    """It is there. Refused when another process of the same runner has followed it."""
    done = caller.engine.runners.heartbeat(_own(caller, runner_id), asked.instance)
    return schema.RunnerBeat.model_validate(done)


@router.post("/{runner_id}/stop")
def stop_runner(
    caller: CallerDep, runner_id: str, asked: schema.RunnerStopIn
) -> schema.RunnerKnown:
    """It goes in order, and holds no run any more."""
    own = _own(caller, runner_id)
    done = caller.engine.runners.stop(caller.actor, own, asked.instance, asked.reason)
    return schema.RunnerKnown.model_validate(done)


@router.post("/{runner_id}/token", status_code=201)
def issue_runner_token(caller: CallerDep, runner_id: str) -> schema.RunnerToken:
    """A new token; the one before is valid no more."""
    done = caller.engine.runners.issue(caller.actor, runner_id)
    return schema.RunnerToken.model_validate(done)


@router.post("/{runner_id}/retire")
def retire_runner(caller: CallerDep, runner_id: str, asked: ReasonIn) -> schema.RunnerGone:
    """Its token is refused from now on; others take its runs over at once."""
    done = caller.engine.runners.retire(caller.actor, runner_id, asked.reason)
    return schema.RunnerGone.model_validate(done)


def _own(caller: Caller, runner_id: str) -> str:
    """Raises NotPermitted for another runner's id."""
    own = caller.principal.runner_id
    if own and own != runner_id:
        raise NotPermitted(f"this token is not that of runner `{runner_id}`")
    return runner_id
