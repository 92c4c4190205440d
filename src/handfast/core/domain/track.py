"""An agent's track record: what its newest runs have used. A stream of its own beside the agent's, so
that a gate check, which reads the agent, does not read its history."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from handfast.core.domain.events_limits import RunMeasured
from handfast.core.domain.ids import AgentId
from handfast.core.domain.limit_facts import History

NEWEST = 50  # of one repository
MOST = 200


@dataclass(frozen=True, slots=True)
class Track:
    """`runs` are those that ended, oldest first: the newest of each repository, and of all together."""

    agent_id: AgentId
    runs: tuple[RunMeasured, ...] = ()


def evolve(state: Track | None, event: RunMeasured, _: datetime) -> Track:
    known = state or Track(event.agent_id)
    beside = [r for r in known.runs if r.repository == event.repository]
    gone = (
        {r.run_id for r in beside[: len(beside) + 1 - NEWEST]} if len(beside) >= NEWEST else set()
    )
    runs = tuple(r for r in known.runs if r.run_id not in gone)
    return replace(known, runs=(*runs, event)[-MOST:])


def history(runs: Sequence[RunMeasured]) -> History:
    """The median of every metric over the newest runs in which it was known."""
    found: dict[str, list[Decimal]] = {}
    for run in runs[-NEWEST:]:
        for metric, figure in run.figures.items():
            found.setdefault(metric, []).append(Decimal(figure))
    medians = {m: f"{statistics.median(figures):f}" for m, figures in sorted(found.items())}
    return History(medians, {m: len(found[m]) for m in medians})
