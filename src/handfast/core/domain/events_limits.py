"""Facts about the limits of a run: what was used, which limit was met, what a person said to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from handfast.core.domain.ids import AgentId, HandoffId, RunId
from handfast.core.domain.limit_facts import Crossed, Raised, Reported


@dataclass(frozen=True, slots=True)
class UsageReported:
    """Totals of a run as its harness or a program tells them. `turn_over`: the agent now waits for a
    person to say something, so no time is counted until it works again."""

    run_id: RunId
    reported: Reported = field(default_factory=Reported)
    turn_over: bool = False


@dataclass(frozen=True, slots=True)
class LimitWarned:
    run_id: RunId
    crossed: Crossed


@dataclass(frozen=True, slots=True)
class LimitReached:
    """The run is handed over as `handoff_id`; without one it was only observed: nothing was stopped."""

    run_id: RunId
    crossed: tuple[Crossed, ...]
    handoff_id: HandoffId = HandoffId("")


@dataclass(frozen=True, slots=True)
class LimitRaised:
    """A person let the run go on. `words`: their words are still to be told to the agent."""

    run_id: RunId
    handoff_id: HandoffId
    raised: tuple[Raised, ...]
    words: bool = False


@dataclass(frozen=True, slots=True)
class LimitUpheld:
    """A person does not let the run go on: its calls with an effect are denied from now on."""

    run_id: RunId
    handoff_id: HandoffId


@dataclass(frozen=True, slots=True)
class RunMeasured:
    """What a run that ended has used, by metric: the history that later runs are measured against.
    `repository` is where it ran; '' was recorded before that was kept."""

    agent_id: AgentId
    run_id: RunId
    figures: Mapping[str, str] = field(default_factory=dict)
    repository: str = ""
