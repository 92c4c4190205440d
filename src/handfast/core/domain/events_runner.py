"""Facts about runners: who may lease runs, which process works for whom, and since when."""

from dataclasses import dataclass

from handfast.core.domain.ids import AgentId, RunnerId


@dataclass(frozen=True, slots=True)
class RunnerAdded:
    """`repositories` are patterns, `agents` ids; an empty tuple bounds nothing."""

    runner_id: RunnerId
    name: str
    repositories: tuple[str, ...] = ()
    agents: tuple[AgentId, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunnerTokenIssued:
    """The runner's token from now on; an earlier one is valid no more."""

    runner_id: RunnerId


@dataclass(frozen=True, slots=True)
class RunnerStarted:
    """A process works for this runner. `instance` rises with every start; earlier ones are refused."""

    runner_id: RunnerId
    instance: int
    host: str
    pid: int
    version: str = ""
    capacity: int = 0


@dataclass(frozen=True, slots=True)
class RunnerStopped:
    runner_id: RunnerId
    instance: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunnerRetired:
    """Its token is valid no more, and it never takes a run again."""

    runner_id: RunnerId
    reason: str = ""
