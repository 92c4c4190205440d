"""The kill switch: an agent, a team or everybody is stopped, and let go again in stages.

What starts an effect asks `blocked` in its own unit of work and so relies on what it read: once a kill has
been committed, no start of what it stopped can be committed any more, on any server.
"""

from handfast.core.domain import agent as agents
from handfast.core.domain import control
from handfast.core.domain.agent import Agent
from handfast.core.domain.codec import format_time
from handfast.core.domain.control import Stage, Stop
from handfast.core.domain.errors import GateClosed, NotFound, UsageError
from handfast.core.domain.events import Actor
from handfast.core.domain.events_control import ControlKilled, ControlReleased
from handfast.core.domain.ids import AgentId
from handfast.core.domain.installation import INSTALLATION_ID, Installation
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.paging import every
from handfast.engine.people import People, signed_in
from handfast.engine.projections import KINDS, load
from handfast.storage.api import Query

RULE = "kill-switch"
AGENT = "agent:"
MAX_REASON = 2_000
_SHOWN = 20


class KillSwitch:
    """All calls are atomic. Kills and releases are a person's, with a reason."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._people = People(kernel)

    # -- what is asked before anything runs

    def blocked(self, unit: Unit, agent_id: str) -> str:
        """Why nothing of this agent runs now, in words; '' when it may. Part of what the unit rests on."""
        unit.rely_on(Installation, INSTALLATION_ID)
        unit.rely_on(Agent, agent_id)
        agent = unit.find(Agent, agent_id)
        if agent is not None and agent.suspended:
            return f"agent `{agent.name}` is suspended: {agent.suspended_why or 'no reason given'}"
        stop = holding(unit, agent_id)
        return self._words(stop) if stop else ""

    def check(self, unit: Unit, agent_id: str) -> None:
        """Raises GateClosed (code `kill_switch`) while this agent is stopped."""
        if why := self.blocked(unit, agent_id):
            raise GateClosed(
                why, code="kill_switch", hint="See `handfast kill status`. Nothing was started."
            )

    # -- commands

    def kill(self, actor: Actor, scope: str, reason: str) -> list[Result]:
        """Stop `all`, `team:NAME` or `agent:ID`. Gives what is stopped now.

        Raises NotPermitted, NotFound for an agent or team there is none of, UsageError.
        """
        why = _reason(reason)
        if scope.startswith(control.TEAM) and not self.of_team(scope.removeprefix(control.TEAM)):
            raise NotFound(
                f"no agent is in the team `{scope.removeprefix(control.TEAM)}`",
                hint="`handfast agent list` shows the teams.",
            )

        def work(unit: Unit) -> Result:
            person_id = signed_in(unit, actor, control.MAY_KILL).person_id
            if scope.startswith(AGENT):
                agent = unit.get(Agent, scope.removeprefix(AGENT))
                events = agents.suspend(agent, why[:500], person_id)
                unit.record(Agent, agent.agent_id, events)
                return {}
            state = unit.get(Installation, INSTALLATION_ID)
            event = ControlKilled(scope, person_id, unit.put(why))
            unit.record(Installation, INSTALLATION_ID, control.kill(state.stops, event))
            return {}

        self._kernel.run(actor, work)
        return self.status()

    def release(
        self, actor: Actor, scope: str, stage: str, reason: str, named: tuple[str, ...] = ()
    ) -> list[Result]:
        """The next stage for what is stopped. `named` are ids of agents that may act at stage `agents`.

        An agent that was stopped alone has the one stage `all`. Raises NotPermitted, NotFound,
        InvalidTransition for a stage that does not follow, UsageError.
        """
        why = _reason(reason)
        if stage not in {s.value for s in Stage} - {Stage.STOPPED.value}:
            raise UsageError(f"`stage` is `{stage[:40]}`", hint="One of: review, agents, all.")

        def work(unit: Unit) -> Result:
            person_id = signed_in(unit, actor, control.MAY_RELEASE).person_id
            if scope.startswith(AGENT):
                if stage != Stage.ALL.value:
                    raise UsageError(
                        "one agent is let go at once", hint="Leave the stage out, or write all."
                    )
                agent = unit.get(Agent, scope.removeprefix(AGENT))
                unit.record(
                    Agent, agent.agent_id, agents.reinstate(agent, why[:500], by_person=True)
                )
                return {}
            state = unit.get(Installation, INSTALLATION_ID)
            ids = tuple(sorted({AgentId(unit.get(Agent, a).agent_id) for a in named}))
            event = ControlReleased(scope, stage, person_id, unit.put(why), ids)
            unit.record(Installation, INSTALLATION_ID, control.release(state.stops, event))
            return {}

        self._kernel.run(actor, work)
        return self.status()

    # -- reads

    def status(self) -> list[Result]:
        """What is stopped: scope, stage, by, by_name, at, reason, agents, says. Everybody first."""
        installation = self._kernel.state(Installation, INSTALLATION_ID)
        stops = sorted(installation.stops.values(), key=lambda s: (s.scope != control.ALL, s.scope))
        suspended = self._kernel.store.find(Query("agent", statuses=("suspended",), limit=_SHOWN))
        found = [load(KINDS[Agent], row.doc) for row in suspended]
        return [
            *(self._shown(stop) for stop in stops),
            *(self._suspended(a) for a in found if isinstance(a, Agent)),
        ]

    def of_team(self, team: str) -> list[Agent]:
        """The agents of a team."""
        rows = every(self._kernel.store, Query("agent"))
        found = (load(KINDS[Agent], row.doc) for row in rows)
        return [a for a in found if isinstance(a, Agent) and team and a.team == team]

    def _words(self, stop: Stop) -> str:
        what = "all agents are" if stop.scope == control.ALL else f"`{stop.scope}` is"
        said = self._kernel.vault.open(stop.reason.body_id).text
        reached = (
            "" if stop.stage is Stage.STOPPED else f", released as far as `{stop.stage.value}`"
        )
        return f"{what} stopped by {self._people.name(stop.by)}{reached}: {said}"

    def _shown(self, stop: Stop) -> Result:
        return {
            "scope": stop.scope,
            "stage": stop.stage.value,
            "by": stop.by,
            "by_name": self._people.name(stop.by),
            "at": format_time(stop.at),
            "reason": self._kernel.vault.open(stop.reason.body_id).text,
            "agents": list(stop.agents),
            "says": self._words(stop),
        }

    def _suspended(self, agent: Agent) -> Result:
        who = self._people.name(agent.killed_by) if agent.killed_by else ""
        by = f" by {who}" if who else ""
        why = agent.suspended_why or "no reason given"
        return {
            "scope": f"{AGENT}{agent.agent_id}",
            "stage": Stage.STOPPED.value,
            "by": agent.killed_by,
            "by_name": who,
            "at": "",
            "reason": agent.suspended_why,
            "agents": [agent.agent_id],
            "says": f"agent `{agent.name}` is stopped{by}: {why}",
        }


def holding(unit: Unit, agent_id: str) -> Stop | None:
    """The stop that keeps this agent from acting, apart from a suspension of its own."""
    installation = unit.find(Installation, INSTALLATION_ID)
    if installation is None or not installation.stops:
        return None
    agent = unit.find(Agent, agent_id)
    return control.holding(installation.stops, agent_id, agent.team if agent else "")


def freezes(unit: Unit, agent_id: str) -> bool:
    """Whether what waits about this agent is frozen: its deadlines stand still."""
    agent = unit.find(Agent, agent_id)
    stop = holding(unit, agent_id)
    return bool((agent and agent.suspended) or (stop and stop.freezes))


def _reason(reason: str) -> str:
    if not reason.strip():
        raise UsageError("`reason` is empty", hint="Say why: it is what everybody will read.")
    return reason.strip()[:MAX_REASON]
