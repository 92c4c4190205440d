"""Checkpoints put together for people and programs: the JSON of the API and the pages."""

from datetime import timedelta

from handfast.core.domain.checkpoint import Checkpoint
from handfast.core.domain.codec import format_time
from handfast.core.domain.events_checkpoint import Why
from handfast.core.domain.handoff import Handoff
from handfast.core.policy.interruption import MILS, Wait
from handfast.engine.checkpoints import Checkpoints
from handfast.engine.deferring import pending, recent, told_today
from handfast.engine.kernel import Kernel, Result
from handfast.engine.passes import looked_at_alone
from handfast.engine.people import People
from handfast.engine.views import Views

_SHOWN = 50
_REASONS = {
    Why.URGENT: "something urgent: {because}. What waited for the same people came along",
    Why.LATEST: "one of them had waited as long as the policy lets it",
    Why.PERSON: "{because} asked for it",
    Why.PLANNED: "the work stops here until people have decided",
    Why.COST: "together, their waiting had cost as much as an interruption",
}


class CheckpointViews:
    """Read only."""

    def __init__(
        self, kernel: Kernel, people: People, views: Views, checkpoints: Checkpoints
    ) -> None:
        self._kernel = kernel
        self._people = people
        self._views = views
        self._checkpoints = checkpoints

    def checkpoints(self, limit: int = _SHOWN) -> list[Result]:
        """Newest first, each with how many of its handoffs still wait."""
        return [self._summary(c) for c in recent(self._kernel, limit)]

    def checkpoint(self, checkpoint_id: str) -> Result:
        """With everything about each of its handoffs, and why an approval needs a reason of its own.
        Raises NotFound."""
        c = self._kernel.state(Checkpoint, checkpoint_id)
        items = []
        for handoff_id in c.handoffs:
            alone = looked_at_alone(self._kernel, self._kernel.state(Handoff, handoff_id))
            items.append(self._views.handoff(handoff_id) | {"looked_at_alone": alone})
        return self._summary(c) | {"items": items}

    def deferred(self) -> list[Result]:
        """What waits for a checkpoint, with when it opens: `opens_at` if nothing else comes ('' while the
        people asked were told often enough today), `at_latest` in any case. At most 1,000."""
        waits = {w.ask_id: w for w in self._checkpoints.plan().waits}
        found = [(h, waits.get(h.handoff_id)) for h in pending(self._kernel)]
        return [self._deferred(h, wait) for h, wait in found]

    def told_today(self, person_id: str) -> int:
        """Checkpoints this person was told of in the last 24 hours, urgent ones left out."""
        now = self._kernel.clock.now()
        latest = recent(self._kernel)
        return told_today(latest, now).get(person_id, 0)

    def _deferred(self, h: Handoff, wait: Wait | None) -> Result:
        opens_at = wait.opens_at if wait else h.due_at
        return {
            "handoff_id": h.handoff_id,
            "ask": self._views.text(h.ask),
            "kind": h.kind.value,
            "risk": h.risk,
            "agent_name": self._views.agent_name(h.agent_id),
            "blocking": h.blocking,
            "stage": h.stage.value if h.stage else "",
            "since": format_time(h.deferral.since if h.deferral else h.requested_at),
            "opens_at": format_time(opens_at) if opens_at else "",
            "at_latest": format_time(h.due_at) if h.due_at else "",
            "people": [self._people.name(p) for p in h.deferral.people[:20]] if h.deferral else [],
            "queue": wait.queue if wait else 1,
            "waited": minutes(wait.waited_mils) if wait else "",
            "cost": minutes(wait.cost_mils) if wait else "",
            "why": _why(wait),
        }

    def _summary(self, c: Checkpoint) -> Result:
        states = [self._kernel.state(Handoff, h) for h in c.handoffs]
        by_person = c.why is Why.PERSON
        because = self._people.name(c.because) if by_person else c.because
        return {
            "checkpoint_id": c.checkpoint_id,
            "why": c.why.value,
            "why_words": _REASONS[c.why].format(because=because),
            "lead": c.lead,
            "opened_at": format_time(c.opened_at),
            "until": format_time(c.until),
            "handoffs": list(c.handoffs),
            "waiting": sum(h.waiting for h in states),
            "stages": sorted({h.stage.value for h in states if h.stage}),
            "people": [self._people.name(p) for p in c.people[:20]],
            "waited": minutes(c.waited_mils),
        }


def minutes(mils: int) -> str:
    """Reviewer-minutes as a decimal text: `4.8`."""
    return f"{mils / MILS:.2f}".rstrip("0").rstrip(".")


def _why(wait: Wait | None) -> str:
    if wait is None:
        return "It waits for a checkpoint."
    if wait.opens_at is None:
        return "Whom it asks was told of as many checkpoints as the policy allows in a day."
    if wait.at_latest - wait.opens_at < timedelta(seconds=1):
        return (
            "Not urgent. It waits as long as the policy lets it, or until something else is asked."
        )
    others = "" if wait.queue == 1 else f", with {wait.queue - 1} more"
    return (
        f"Not urgent. Its waiting{others} has cost {minutes(wait.waited_mils)} of the "
        f"{minutes(wait.cost_mils)} reviewer-minutes that an interruption costs."
    )
