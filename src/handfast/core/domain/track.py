"""An agent's track record: what its newest runs have used. A stream of its own beside the agent's, so
that a gate check, which reads the agent, does not read its history."""

import statistics
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from handfast.core.domain.events_limits import RunMeasured
from handfast.core.domain.ids import AgentId
from handfast.core.domain.limit_facts import History

NEWEST = 50


@dataclass(frozen=True, slots=True)
class Track:
    """`runs` are the newest that ended, oldest first."""

    agent_id: AgentId
    runs: tuple[RunMeasured, ...] = ()


def evolve(state: Track | None, event: RunMeasured, _: datetime) -> Track:
    known = state or Track(event.agent_id)
    return replace(known, runs=(*known.runs, event)[-NEWEST:])


def history(track: Track | None) -> History:
    """The median of every metric over the runs in which it was known."""
    found: dict[str, list[Decimal]] = {}
    for run in track.runs if track else ():
        for metric, figure in run.figures.items():
            found.setdefault(metric, []).append(Decimal(figure))
    medians = {m: f"{statistics.median(figures):f}" for m, figures in sorted(found.items())}
    return History(medians, {m: len(found[m]) for m in medians})
