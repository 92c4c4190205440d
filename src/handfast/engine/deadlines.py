"""What becomes due by itself. Any number of servers may sweep: appends are compare-and-set."""

from handfast.core.domain import handoff_commands as commands
from handfast.core.domain import handoff_routing as routing
from handfast.core.domain import run as runs
from handfast.core.domain.errors import HandfastError
from handfast.core.domain.events import SYSTEM
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.run import Run
from handfast.engine.effects import settle_unknown
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.storage.api import Query


def sweep(kernel: Kernel, limit: int = 200) -> int:
    """Handle due handoffs: next level, expiry, unused grants, starts without an effect.

    Gives how many were looked at. Safe to run at any time and concurrently. One that cannot be
    handled does not hold up the others; its error is raised at the end.
    """
    due = kernel.store.find(Query("handoff", due_before=kernel.clock.now(), limit=limit))
    failed: HandfastError | None = None
    for row in due:
        try:
            _one(kernel, row.stream.partition("/")[2])
        except HandfastError as e:
            failed = failed or e
    if failed is not None:
        raise failed
    return len(due)


def _one(kernel: Kernel, handoff_id: str) -> None:
    def work(unit: Unit) -> Result:
        h = unit.get(Handoff, handoff_id)
        if h.next_due is None or unit.now < h.next_due:
            return {}
        if commands.starts_unsettled(h):
            settle_unknown(kernel, unit, h, "no result came in time")
        else:
            unit.record(Handoff, handoff_id, routing.sweep(h, unit.now, "reviewers"))
        after = unit.get(Handoff, handoff_id)
        if not after.waiting and after.run_id and (run := unit.find(Run, after.run_id)):
            unit.rely_on(Run, run.run_id)  # a pause at this moment must not miss the end
            unit.record(Run, run.run_id, runs.ready(run, after.handoff_id))
        return {}

    kernel.run(SYSTEM, work)
