"""The registry of agents and their tokens."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from handfast.core.domain import agent as agents
from handfast.core.domain.agent import AGENT_SCOPES, Agent
from handfast.core.domain.codec import format_time
from handfast.core.domain.errors import InvalidTransition, LimitExceeded, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_org import AgentRegistered, AgentTokenIssued, AgentTokenRevoked
from handfast.core.domain.ids import AgentId, TokenId
from handfast.engine.ids import hash_secret, new_id, new_secret
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.storage.api import Credential, Query

MAX_TOKENS = 100
MAX_STRUCK = 1_000


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """The only time a token's text exists outside its holder."""

    token: str
    token_id: str
    expires_at: datetime


class Agents:
    """All calls are atomic."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def add(self, actor: Actor, name: str, harness: str, team: str = "") -> Result:
        """Register an agent. Names are unique: an equal one raises InvalidTransition.

        `team` is whom it works for: what the kill switch can stop together.
        """
        name = name.strip()
        if not name or len(name) > 100 or not name.isprintable():
            raise UsageError("`name` must be 1 to 100 printable characters")
        if not re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})?", team):
            raise UsageError(f"`team` is {team[:64]!r}", hint="Letters, digits, dots and hyphens.")
        if self.named(name):
            raise InvalidTransition(f"there is an agent named `{name}` already")

        def work(unit: Unit) -> Result:
            agent_id = AgentId(new_id("ag"))
            unit.record(Agent, agent_id, [AgentRegistered(agent_id, name, harness, team)])
            return {"agent_id": agent_id}

        return self._kernel.run(
            actor, work, key=f"agent:{name}", command=[name, harness, *([team] if team else [])]
        )

    def named(self, name: str) -> str:
        """The id of the agent with this name, or ''."""
        rows = self._kernel.store.find(Query("agent", match=name, limit=1))
        return rows[0].stream.partition("/")[2] if rows else ""

    def issue(
        self, actor: Actor, agent_id: str, scopes: tuple[str, ...] = (), ttl_s: int = 0
    ) -> IssuedToken:
        """A new token. Only its hash is stored. Tokens that have expired are struck off where many are kept.

        Raises NotFound, InvalidTransition, LimitExceeded with `MAX_TOKENS` that are still good.
        """
        scopes = scopes or tuple(sorted(AGENT_SCOPES))
        agents.check_scopes(scopes)
        token_id, secret = TokenId(new_id("tok")), new_secret()
        expires = self._kernel.clock.now() + timedelta(
            seconds=ttl_s or self._kernel.settings.agent_token_s
        )

        def work(unit: Unit) -> Result:
            agent = unit.get(Agent, agent_id)
            if agent.suspended:
                raise InvalidTransition(f"agent `{agent_id}` is suspended")
            if len(agent.tokens) >= MAX_TOKENS:
                self._strike_off(unit, agent)
            event = AgentTokenIssued(agent.agent_id, token_id, scopes, expires)
            unit.record(Agent, agent_id, [event])
            unit.put_credential(
                Credential(token_id, "token", agent_id, hash_secret(secret), scopes, expires)
            )
            return {"token_id": token_id, "expires_at": format_time(expires)}

        self._kernel.run(actor, work)
        return IssuedToken(f"hfa_{token_id[4:]}_{secret}", token_id, expires)

    def _strike_off(self, unit: Unit, agent: Agent) -> None:
        """Raises LimitExceeded when none of the tokens has expired."""
        found = ((t, self._kernel.store.credential(t)) for t in agent.tokens)
        over = [t for t, c in found if c is None or (c.expires_at and c.expires_at <= unit.now)]
        if not over:
            raise LimitExceeded(
                f"agent `{agent.agent_id}` has {len(agent.tokens)} tokens that are still good",
                hint="`handfast agent revoke` makes one invalid.",
            )
        events = [AgentTokenRevoked(agent.agent_id, t) for t in over[:MAX_STRUCK]]
        unit.record(Agent, agent.agent_id, events)

    def revoke(self, actor: Actor, token_id: str) -> Result:
        """Idempotent. Raises UsageError for a token that is not an agent's."""
        credential = self._kernel.store.credential(token_id)
        if credential is None or credential.kind != "token":
            raise UsageError(f"`{token_id}` is not a token of an agent")

        def work(unit: Unit) -> Result:
            agent = unit.get(Agent, credential.subject)
            if token_id in agent.tokens:
                event = AgentTokenRevoked(agent.agent_id, TokenId(token_id))
                unit.record(Agent, agent.agent_id, [event])
            unit.put_credential(
                Credential(token_id, "token", credential.subject, "revoked", (), None, revoked=True)
            )
            return {"token_id": token_id}

        return self._kernel.run(actor, work)

    def suspend(self, actor: Actor, agent_id: str, reason: str) -> Result:
        """From the next call on everything this agent proposes is denied. Idempotent."""

        def work(unit: Unit) -> Result:
            events = agents.suspend(unit.get(Agent, agent_id), reason[:500])
            unit.record(Agent, agent_id, events)
            return {"agent_id": agent_id, "suspended": True}

        return self._kernel.run(actor, work)

    def reinstate(self, actor: Actor, agent_id: str, reason: str) -> Result:
        """Idempotent. Raises NotPermitted for one that the kill switch stopped: see `KillSwitch.release`."""

        def work(unit: Unit) -> Result:
            agent = unit.get(Agent, agent_id)
            events = agents.reinstate(agent, reason[:500])
            unit.record(Agent, agent_id, events)
            return {"agent_id": agent_id, "suspended": False}

        return self._kernel.run(actor, work)
