"""A runner: what it may take, and which of its processes counts."""

from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import assert_never

from handfast.core.domain import events_runner as e
from handfast.core.domain.errors import NotPermitted, StaleEpoch
from handfast.core.domain.events import RunnerEvent
from handfast.core.domain.ids import AgentId, RunnerId


@dataclass(frozen=True, slots=True)
class Runner:
    """`instance` is 0 until a process has worked for it."""

    runner_id: RunnerId
    name: str
    added_at: datetime
    repositories: tuple[str, ...] = ()
    agents: tuple[AgentId, ...] = ()
    labels: tuple[str, ...] = ()
    instance: int = 0
    host: str = ""
    pid: int = 0
    version: str = ""
    capacity: int = 0
    started_at: datetime | None = None
    stopped: str = ""
    retired: bool = False


def evolve(state: Runner | None, event: RunnerEvent, at: datetime) -> Runner:
    """Fold one recorded event. `at` is the envelope's time."""
    if isinstance(event, e.RunnerAdded):
        return Runner(
            event.runner_id, event.name, at, event.repositories, event.agents, event.labels
        )
    if state is None:
        raise ValueError("a runner's first event must be runner.added")
    match event:
        case e.RunnerTokenIssued():
            return state
        case e.RunnerStarted():
            return replace(
                state,
                instance=event.instance,
                host=event.host,
                pid=event.pid,
                version=event.version,
                capacity=event.capacity,
                started_at=at,
                stopped="",
            )
        case e.RunnerStopped():
            return replace(state, stopped=event.reason or "stopped")
        case e.RunnerRetired():
            return replace(state, retired=True)
        case _:
            assert_never(event)


def check_active(state: Runner) -> None:
    """Raises NotPermitted for a runner that was retired."""
    if state.retired:
        raise NotPermitted(
            f"runner `{state.name}` is retired",
            code="runner_retired",
            hint="Add another one: `handfast runner add NAME`.",
        )


def check_instance(state: Runner, instance: int) -> None:
    """Refuse a process that another one of the same runner has followed. Raises StaleEpoch, NotPermitted."""
    check_active(state)
    if instance != state.instance:
        raise StaleEpoch(
            f"runner `{state.name}` is at instance {state.instance}, the call carries {instance}",
            code="runner_followed",
            hint="Another process works with this runner's token: give each process a runner of its own.",
        )


def unfit(state: Runner, repository: str, agent_id: str, labels: tuple[str, ...]) -> str:
    """Why this runner may not take such a run; '' when it may."""
    missing = sorted(set(labels) - set(state.labels))
    if missing:
        return f"it lacks the label {missing[0]}"
    if state.agents and agent_id not in state.agents:
        return "it does not run this agent"
    if state.repositories and not any(fnmatchcase(repository, p) for p in state.repositories):
        return "it does not serve this repository"
    return ""
