"""The registry of agents, their tokens, and the state of their hooks."""

from fastapi import APIRouter

from handfast.core.domain.codec import format_time
from handfast.core.domain.events_work import Mode
from handfast.server.api import schema_org as schema
from handfast.server.api.schema_work import Created
from handfast.server.identity import CallerDep

router = APIRouter(prefix="/v1", tags=["agents"])


@router.get("/agents")
def list_agents(caller: CallerDep) -> schema.AgentList:
    return schema.AgentList.model_validate({"items": caller.engine.views.agents()})


@router.post("/agents", status_code=201)
def create_agent(caller: CallerDep, asked: schema.AgentIn) -> Created:
    """Names are unique."""
    result = caller.engine.agents.add(caller.actor, asked.name, asked.harness, asked.team)
    return Created.model_validate(result)


@router.post("/agents/{agent_id}/tokens", status_code=201)
def issue_token(caller: CallerDep, agent_id: str, asked: schema.TokenIn) -> schema.TokenOut:
    """The answer is the only time that the token's text is shown."""
    issued = caller.engine.agents.issue(
        caller.actor, agent_id, tuple(asked.scopes), asked.expires_in_s
    )
    return schema.TokenOut(
        token=issued.token, token_id=issued.token_id, expires_at=format_time(issued.expires_at)
    )


@router.delete("/tokens/{token_id}")
def revoke_token(caller: CallerDep, token_id: str) -> schema.TokenGone:
    return schema.TokenGone.model_validate(caller.engine.agents.revoke(caller.actor, token_id))


@router.post("/agents/{agent_id}/suspend")
def suspend_agent(caller: CallerDep, agent_id: str, asked: schema.ReasonIn) -> schema.Suspension:
    """From the next call on everything that this agent proposes is denied."""
    result = caller.engine.agents.suspend(caller.actor, agent_id, asked.reason)
    return schema.Suspension.model_validate(result)


@router.post("/agents/{agent_id}/reinstate")
def reinstate_agent(caller: CallerDep, agent_id: str, asked: schema.ReasonIn) -> schema.Suspension:
    result = caller.engine.agents.reinstate(caller.actor, agent_id, asked.reason)
    return schema.Suspension.model_validate(result)


@router.get("/hooks/status", tags=["hooks"])
def get_hooks(caller: CallerDep) -> schema.HookStatus:
    """`mode` of sessions that start from now on; `paused_until` is empty while nothing is paused."""
    return schema.HookStatus.model_validate(caller.engine.hooks.status())


@router.post("/hooks/mode", tags=["hooks"])
def set_hook_mode(caller: CallerDep, asked: schema.HookModeIn) -> schema.HookStatus:
    """Tightening needs no person; loosening to `observe` does."""
    loosens = asked.mode is Mode.OBSERVE
    actor = caller.person(asked.person, asked.pin) if loosens else caller.actor
    return schema.HookStatus.model_validate(caller.engine.hooks.set_mode(actor, asked.mode))


@router.post("/hooks/installed", tags=["hooks"])
def record_hook_installed(caller: CallerDep, asked: schema.HookInstalledIn) -> schema.HookStatus:
    """Put into the record that a hook was installed for an agent."""
    result = caller.engine.hooks.installed(
        caller.actor, asked.harness, asked.scope, asked.agent_id, asked.mode
    )
    return schema.HookStatus.model_validate(result)


@router.post("/hooks/pause", tags=["hooks"])
def pause_hooks(caller: CallerDep, asked: schema.HookPauseIn) -> schema.HookPauseOut:
    """Enforcing hooks only record until then. A person's to do; it ends by itself."""
    person = caller.person(asked.person, asked.pin)
    return schema.HookPauseOut.model_validate(
        caller.engine.hooks.pause(person, asked.minutes, asked.reason)
    )


@router.post("/hooks/resume", tags=["hooks"])
def resume_hooks(caller: CallerDep) -> schema.HookStatus:
    """End a pause early."""
    return schema.HookStatus.model_validate(caller.engine.hooks.resume(caller.actor))
