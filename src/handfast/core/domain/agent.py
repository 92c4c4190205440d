"""A registered agent and its tokens. Secrets are not here: the log knows a token by its id."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from handfast.core.domain import events_org as e
from handfast.core.domain.errors import InvalidTransition
from handfast.core.domain.events import AgentEvent
from handfast.core.domain.ids import AgentId, TokenId

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
            return replace(state, suspended=True, suspended_why=event.reason)
        case e.AgentReinstated():
            return replace(state, suspended=False, suspended_why="")
        case _:
            assert_never(event)


def suspend(state: Agent, reason: str) -> list[AgentEvent]:
    """Idempotent."""
    return [] if state.suspended else [e.AgentSuspended(state.agent_id, reason)]


def reinstate(state: Agent, reason: str) -> list[AgentEvent]:
    """Idempotent."""
    return [e.AgentReinstated(state.agent_id, reason)] if state.suspended else []


def check_scopes(scopes: tuple[str, ...]) -> None:
    """An agent's token can never decide: there is no scope for it."""
    unknown = sorted(set(scopes) - AGENT_SCOPES)
    if unknown:
        raise InvalidTransition(
            f"`scopes` has {', '.join(unknown)}, which an agent cannot hold",
            hint=f"Scopes of an agent: {', '.join(sorted(AGENT_SCOPES))}.",
        )
