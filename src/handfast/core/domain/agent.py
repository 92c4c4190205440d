"""A registered agent and its tokens. Secrets are not here: the log knows a token by its id."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from handfast.core.domain import events_org as e
from handfast.core.domain.errors import InvalidTransition, NotPermitted
from handfast.core.domain.events import AgentEvent
from handfast.core.domain.ids import AgentId, PersonId, TokenId

AGENT_SCOPES = frozenset({"propose", "record", "redeem", "read"})


@dataclass(frozen=True, slots=True)
class Agent:
    agent_id: AgentId
    name: str
    harness: str
    registered_at: datetime
    suspended: bool = False
    suspended_why: str = ""
    tokens: tuple[TokenId, ...] = ()
    team: str = ""
    killed_by: PersonId = PersonId("")


def evolve(state: Agent | None, event: AgentEvent, at: datetime) -> Agent:
    """Fold one recorded event. `at` is the envelope's time."""
    if isinstance(event, e.AgentRegistered):
        return Agent(event.agent_id, event.name, event.harness, at, team=event.team)
    if state is None:
        raise ValueError("an agent's first event must be agent.registered")
    match event:
        case e.AgentTokenIssued():
            return replace(state, tokens=(*state.tokens, event.token_id))
        case e.AgentTokenRevoked():
            rest = tuple(t for t in state.tokens if t != event.token_id)
            return replace(state, tokens=rest)
        case e.AgentSuspended():
            return replace(
                state,
                suspended=True,
                suspended_why=event.reason,
                killed_by=event.by or state.killed_by,
            )
        case e.AgentReinstated():
            return replace(state, suspended=False, suspended_why="", killed_by=PersonId(""))
        case _:
            assert_never(event)


def suspend(state: Agent, reason: str, by: PersonId = PersonId("")) -> list[AgentEvent]:
    """Idempotent. `by` is the person who pulled the kill switch."""
    if state.suspended and (state.killed_by or not by):
        return []
    return [e.AgentSuspended(state.agent_id, reason, by)]


def reinstate(state: Agent, reason: str, *, by_person: bool = False) -> list[AgentEvent]:
    """Idempotent. Raises NotPermitted where a person stopped it and no person lets it go."""
    if state.killed_by and not by_person:
        raise NotPermitted(
            f"agent `{state.agent_id}` was stopped by a person's kill",
            hint="`handfast kill release --agent NAME`: it asks for a PIN.",
        )
    return [e.AgentReinstated(state.agent_id, reason)] if state.suspended else []


def check_scopes(scopes: tuple[str, ...]) -> None:
    """An agent's token can never decide: there is no scope for it."""
    unknown = sorted(set(scopes) - AGENT_SCOPES)
    if unknown:
        raise InvalidTransition(
            f"`scopes` has {', '.join(unknown)}, which an agent cannot hold",
            hint=f"Scopes of an agent: {', '.join(sorted(AGENT_SCOPES))}.",
        )
