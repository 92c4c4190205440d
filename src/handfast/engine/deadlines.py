"""What becomes due by itself. Any number of servers may sweep: appends are compare-and-set."""

from handfast.core.domain import handoff_commands as commands
from handfast.core.domain import handoff_routing as routing
from handfast.core.domain.errors import HandfastError
from handfast.core.domain.events import SYSTEM
from handfast.core.domain.handoff import Handoff, Status
from handfast.core.domain.handoff_votes import is_override_review
from handfast.engine.audiences import Audiences
from handfast.engine.deferring import open_alone
from handfast.engine.effects import settle_unknown
from handfast.engine.grants import grant_of
from handfast.engine.kernel import Result, Unit
from handfast.engine.overrides import review_again
from handfast.engine.waking import wake
from handfast.storage.api import Query


def sweep(audiences: Audiences, limit: int = 200) -> int:
    """Handle due handoffs: next level, expiry, unused grants, starts without an effect.

    Gives how many were looked at. Safe to run at any time and concurrently. One that cannot be
    handled does not hold up the others; its error is raised at the end.
    """
    kernel = audiences.kernel
    due = kernel.store.find(Query("handoff", due_before=kernel.clock.now(), limit=limit))
    failed: HandfastError | None = None
    for row in due:
        try:
            _one(audiences, row.stream.partition("/")[2])
        except HandfastError as e:
            failed = failed or e
    if failed is not None:
        raise failed
    return len(due)


def _one(audiences: Audiences, handoff_id: str) -> None:
    def work(unit: Unit) -> Result:
        h = unit.get(Handoff, handoff_id)
        if h.next_due is None or unit.now < h.next_due:
            return {}
        if h.deferral is not None:
            open_alone(audiences, unit, h)
        elif commands.starts_unsettled(h):
            settle_unknown(audiences, unit, h, "no result came in time")
        else:
            _lead_on(audiences, unit, h)
        after = unit.get(Handoff, handoff_id)
        if not after.waiting:
            wake(unit, after)
        return {}

    audiences.kernel.run(SYSTEM, work)


def _lead_on(audiences: Audiences, unit: Unit, h: Handoff) -> None:
    """Ask the next level, or end it. What nobody reviewed of an override is asked anew."""
    asking = routing.next_asking(h, unit.now) if h.waiting else None
    repository = audiences.repository_of(unit, h)
    people = audiences.asked(unit, asking.to, repository) if asking else ()
    ttl_s = audiences.kernel.settings.grant_ttl_s
    due = routing.Due(grant_of(h.handoff_id), ttl_s, people)
    after = unit.record(Handoff, h.handoff_id, routing.sweep(h, unit.now, due))
    if after.waiting:
        unit.post("handoff.routed", {"handoff_id": h.handoff_id})
    if after.status is Status.EXPIRED and is_override_review(after):
        review_again(audiences, unit, after)
    if after.decision is not None and after.decision.by_machine:
        unit.post("handoff.decided", {"handoff_id": h.handoff_id})
