"""Lets a run go on when what it waited for is settled."""

from handfast.core.domain import run as runs
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.run import Run
from handfast.engine.kernel import Unit


def wake(unit: Unit, handoff: Handoff) -> None:
    """In the unit of work that settled it, so that a pause at this moment does not miss it."""
    if handoff.run_id and (run := unit.find(Run, handoff.run_id)):
        unit.rely_on(Run, run.run_id)
        unit.record(Run, run.run_id, runs.ready(run, handoff.handoff_id))
