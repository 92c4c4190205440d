"""Checkpoints put together for people and programs: the JSON of the API and the pages."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import islice

from handfast.core.domain.checkpoint import Checkpoint
from handfast.core.domain.codec import format_time
from handfast.core.domain.errors import NotFound
from handfast.core.domain.events_checkpoint import Why
from handfast.core.domain.handoff import Handoff
from handfast.core.domain.project import Sight
from handfast.core.policy.interruption import MILS, Wait
from handfast.engine.checkpoints import Checkpoints
from handfast.engine.deferring import pending, recent, told_today
from handfast.engine.kernel import Kernel, Result
from handfast.engine.knowing import Knowing
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
    """Read only. `within` is what the reader may know of: handoffs outside of it are neither shown nor counted,
    and a checkpoint without one inside of it is not there."""

    def __init__(
        self,
        kernel: Kernel,
        people: People,
        views: Views,
        checkpoints: Checkpoints,
        knowing: Knowing,
    ) -> None:
        self._kernel = kernel
        self._people = people
        self._views = views
        self._checkpoints = checkpoints
        self._knowing = knowing

    def checkpoints(self, within: Sight | None = None) -> list[Result]:
        """The newest 50 first, each with how many of its handoffs still wait. Looks back over 500."""
        latest = recent(self._kernel, _SHOWN) if within is None else recent(self._kernel)
        known = ((c, self._knowing.known(within, c.handoffs)) for c in latest)
        return [self._summary(c, seen) for c, seen in islice((k for k in known if k[1]), _SHOWN)]

    def checkpoint(self, checkpoint_id: str, within: Sight | None = None) -> Result:
        """With everything about each of its handoffs, and why an approval needs a reason of its own.
        Raises NotFound."""
        c = self._kernel.state(Checkpoint, checkpoint_id)
        seen = self._knowing.known(within, c.handoffs)
        if not seen:
            raise NotFound(f"there is no checkpoint `{checkpoint_id}`")
        items = []
        for handoff_id in seen:
            alone = looked_at_alone(self._kernel, self._kernel.state(Handoff, handoff_id))
            items.append(self._views.handoff(handoff_id) | {"looked_at_alone": alone})
        return self._summary(c, seen) | {"items": items}

    def deferred(self, within: Sight | None = None) -> list[Result]:
        """What waits for a checkpoint, with when it opens: `opens_at` if nothing else comes ('' while the
        people asked were told often enough today), `at_latest` in any case. At most 1,000."""
        waits = {w.ask_id: w for w in self._checkpoints.plan().waits}
        all_of = pending(self._kernel)
        known = set(self._knowing.known(within, [h.handoff_id for h in all_of]))
        found = [(h, waits.get(h.handoff_id)) for h in all_of if h.handoff_id in known]
        whole = len(found) == len(all_of)
        return [self._deferred(h, wait, whole=whole) for h, wait in found]

    def told_today(self, person_id: str) -> int:
        """Checkpoints this person was told of in the last 24 hours, urgent ones left out."""
        now = self._kernel.clock.now()
        latest = recent(self._kernel)
        return told_today(latest, now).get(person_id, 0)

    def _deferred(self, h: Handoff, wait: Wait | None, *, whole: bool) -> Result:
        """Unless the `whole` of what waits is known to the reader, nothing tells how much waits beside it."""
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
            "queue": wait.queue if wait and whole else 1,
            "waited": minutes(wait.waited_mils) if wait and whole else "",
            "cost": minutes(wait.cost_mils) if wait and whole else "",
            "why": _why(wait, whole=whole),
        }

    def _summary(self, c: Checkpoint, seen: Sequence[str]) -> Result:
        """Where some of it is hidden, whom and what else it concerned stays hidden too."""
        states = [self._kernel.state(Handoff, h) for h in seen]
        whole = len(seen) == len(c.handoffs)
        by_person = c.why is Why.PERSON
        because = self._people.name(c.because) if by_person else c.because
        if c.why is Why.URGENT and c.lead not in seen:
            because = "another ask"
        return {
            "checkpoint_id": c.checkpoint_id,
            "why": c.why.value,
            "why_words": _REASONS[c.why].format(because=because),
            "lead": c.lead if c.lead in seen else seen[0],
            "opened_at": format_time(c.opened_at),
            "until": format_time(c.until),
            "handoffs": list(seen),
            "waiting": sum(h.waiting for h in states),
            "stages": sorted({h.stage.value for h in states if h.stage}),
            "people": [self._people.name(p) for p in c.people[:20]] if whole else [],
            "waited": minutes(c.waited_mils) if whole else "",
        }


def minutes(mils: int) -> str:
    """Reviewer-minutes as a decimal text: `4.8`."""
    return f"{mils / MILS:.2f}".rstrip("0").rstrip(".")


def _why(wait: Wait | None, *, whole: bool) -> str:
    if wait is None:
        return "It waits for a checkpoint."
    if wait.opens_at is None:
        return "Whom it asks was told of as many checkpoints as the policy allows in a day."
    if wait.at_latest - wait.opens_at < timedelta(seconds=1):
        return (
            "Not urgent. It waits as long as the policy lets it, or until something else is asked."
        )
    if not whole:
        return "Not urgent. It is asked when what waits has cost as much as an interruption."
    others = "" if wait.queue == 1 else f", with {wait.queue - 1} more"
    return (
        f"Not urgent. Its waiting{others} has cost {minutes(wait.waited_mils)} of the "
        f"{minutes(wait.cost_mils)} reviewer-minutes that an interruption costs."
    )
