"""The kill switch: what is stopped, and the stages in which it is let go again.

    stopped → review → agents → all          a new kill goes back to stopped

`stopped`: no effect of the scope's agents runs, and what waits is frozen. `review`: people decide again,
still nothing runs. `agents`: only those named act. `all`: the stop is over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from handfast.core.domain.errors import InvalidTransition, UsageError
from handfast.core.domain.events_control import ControlKilled, ControlReleased
from handfast.core.domain.events_work import BodyRef
from handfast.core.domain.ids import AgentId, PersonId

ALL = "all"
TEAM = "team:"
MAY_KILL = frozenset({"reviewer", "operator", "admin"})
MAY_RELEASE = frozenset({"operator", "admin"})
MAX_STOPS = 100


class Stage(StrEnum):
    STOPPED = "stopped"
    REVIEW = "review"
    AGENTS = "agents"
    ALL = "all"


_NEXT = {
    Stage.STOPPED: (Stage.REVIEW,),
    Stage.REVIEW: (Stage.AGENTS, Stage.ALL),
    Stage.AGENTS: (Stage.REVIEW, Stage.AGENTS, Stage.ALL),
}


@dataclass(frozen=True, slots=True)
class Stop:
    """A kill that is not over. `by`, `at` and `reason` are of the newest step."""

    scope: str
    stage: Stage
    by: PersonId
    at: datetime
    reason: BodyRef
    agents: tuple[AgentId, ...] = ()

    @property
    def freezes(self) -> bool:
        """Whether what waits is frozen, too."""
        return self.stage is Stage.STOPPED

    def concerns(self, team: str) -> bool:
        return self.scope == ALL or (bool(team) and self.scope == TEAM + team)


def killed(stops: Mapping[str, Stop], event: ControlKilled, at: datetime) -> dict[str, Stop]:
    stop = Stop(event.scope, Stage.STOPPED, event.by, at, event.reason)
    return {**stops, event.scope: stop}


def released(stops: Mapping[str, Stop], event: ControlReleased, at: datetime) -> dict[str, Stop]:
    rest = {scope: stop for scope, stop in stops.items() if scope != event.scope}
    stage = Stage(event.stage)
    if stage is Stage.ALL:
        return rest
    stop = Stop(event.scope, stage, event.by, at, event.reason, event.agents)
    return {**rest, event.scope: stop}


def holding(stops: Mapping[str, Stop], agent_id: str, team: str) -> Stop | None:
    """The stop that keeps this agent from acting, the strictest one first."""
    found = [s for s in stops.values() if s.concerns(team) and agent_id not in s.agents]
    order = list(Stage)
    return min(found, key=lambda s: (order.index(s.stage), s.scope), default=None)


def kill(stops: Mapping[str, Stop], event: ControlKilled) -> list[ControlKilled]:
    """Always possible, whatever stage a release has reached. Raises UsageError for a scope that is none."""
    if event.scope != ALL and not (event.scope.startswith(TEAM) and event.scope != TEAM):
        raise UsageError(
            f"`scope` is `{event.scope[:60]}`", hint="`all`, `team:NAME` or `agent:ID`."
        )
    if event.scope not in stops and len(stops) >= MAX_STOPS:
        raise UsageError(f"{MAX_STOPS} teams are stopped already", hint="Use `all`.")
    return [event]


def release(stops: Mapping[str, Stop], event: ControlReleased) -> list[ControlReleased]:
    """The next stage. Raises InvalidTransition for one that skips a stage, UsageError without agents."""
    stop = stops.get(event.scope)
    if stop is None:
        raise InvalidTransition(f"`{event.scope[:60]}` is not stopped", hint="Nothing is to do.")
    wanted = Stage(event.stage)
    if wanted not in _NEXT[stop.stage]:
        following = ", ".join(s.value for s in _NEXT[stop.stage])
        raise InvalidTransition(
            f"`{event.scope}` is at stage `{stop.stage.value}`; stage `{wanted.value}` does not follow",
            hint=f"What follows: {following}.",
        )
    if (wanted is Stage.AGENTS) != bool(event.agents):
        raise UsageError(
            "`agents` go with the stage `agents`, and only with it",
            hint="Name the agents that may act again.",
        )
    return [event]
