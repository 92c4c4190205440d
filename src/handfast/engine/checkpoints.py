"""The checkpoints of an installation: what the sweep opens, what a person opens, what would open when."""

from collections.abc import Sequence

from handfast.core.domain.checkpoint import MAX_HANDOFFS, Checkpoint
from handfast.core.domain.errors import InvalidTransition, NotFound
from handfast.core.domain.events import SYSTEM, Actor
from handfast.core.domain.events_checkpoint import CheckpointJoined, Why
from handfast.core.domain.faults import fault_point
from handfast.core.domain.handoff import Handoff, Status
from handfast.core.domain.handoff_routing import Told
from handfast.core.domain.ids import CheckpointId, PersonId
from handfast.core.policy.interruption import Join, Plan, Sitting, Stop, plan
from handfast.engine.audiences import Audiences
from handfast.engine.deferring import (
    Together,
    ask_now,
    asks_of,
    open_together,
    pending,
    people_of,
    recent,
    told_today,
)
from handfast.engine.grants import deciding_person
from handfast.engine.handoffs import Handoffs
from handfast.engine.kernel import Result, Unit
from handfast.engine.knowing import Knowing
from handfast.engine.passes import Passes
from handfast.engine.projections import BY_NAME, load

_NOTHING = Plan((), (), (), None)


class Checkpoints:
    """All calls are atomic for each checkpoint, and safe on any number of servers."""

    def __init__(self, audiences: Audiences, handoffs: Handoffs, knowing: Knowing) -> None:
        self._audiences = audiences
        self._knowing = knowing
        self.passes = Passes(audiences.kernel, handoffs, knowing)
        self._kernel = audiences.kernel

    def plan(self) -> Plan:
        """What would open now, and what waits until when. Reads only."""
        waits = pending(self._kernel)
        return self._plan(waits) if waits else _NOTHING

    def sweep(self) -> int:
        """Open what is due by its cost, its stage or its longest wait. Gives how many checkpoints opened or
        were joined."""
        made = self.plan()
        done = sum(self._stop(stop) for stop in made.stops)
        return done + sum(self._join(join) for join in made.joins)

    def open_now(self, actor: Actor, handoff_ids: Sequence[str] = ()) -> Result:
        """A person asks everybody now: about these, or about all that waits for that person.

        The others are told; the person is there already. Raises NotPermitted, NotFound (for what the person
        may not know of, too), InvalidTransition when nothing of it waits for a checkpoint.
        """

        def work(unit: Unit) -> Result:
            person = deciding_person(unit, actor)
            wanted = [unit.get(Handoff, i) for i in self._wanted(actor, handoff_ids)]
            asks = tuple(h.handoff_id for h in wanted if h.deferral and h.frozen_at is None)
            if not asks:
                raise InvalidTransition(
                    "nothing of this waits for a checkpoint",
                    code="nothing_deferred",
                    hint="`handfast inbox` lists what can be decided now.",
                )
            others = {
                p for i in asks for p in people_of(self._audiences, unit, unit.get(Handoff, i))
            }
            told = frozenset(others - {person.person_id})
            opening = Together(Why.PERSON, asks[0], asks, person.person_id, told)
            opened = open_together(self._audiences, unit, opening)
            return {"checkpoint_id": opened or "", "handoffs": list(asks[:MAX_HANDOFFS])}

        return self._kernel.run(actor, work)

    def _wanted(self, actor: Actor, named: Sequence[str]) -> tuple[str, ...]:
        """What the person named, or all that waits for them: of it what they may know of."""
        if not named:
            waits = pending(self._kernel)
            mine = [h.handoff_id for h in waits if _for(h, PersonId(actor.id))]
            return self._knowing.known_to(actor, mine)
        known = self._knowing.known_to(actor, named)
        if hidden := [h for h in named if h not in known]:
            raise NotFound(f"there is no handoff `{hidden[0]}`")
        return known

    def in_use(self) -> bool:
        """Whether something was asked together here, or waits to be."""
        waits = self._kernel.store.count("handoff", [Status.REQUESTED.value])
        return waits > 0 or bool(recent(self._kernel, 1))

    def undecided(self, checkpoint: Checkpoint) -> bool:
        """Whether one of its handoffs still waits."""
        rows = (self._kernel.store.load(f"handoff/{h}") for h in checkpoint.handoffs)
        states = (load(BY_NAME["handoff"], row.doc) for row in rows if row)
        return any(isinstance(h, Handoff) and h.waiting for h in states)

    def _plan(self, waits: Sequence[Handoff]) -> Plan:
        now = self._kernel.clock.now()
        latest = recent(self._kernel)
        sittings = [
            Sitting(c.checkpoint_id, frozenset(c.people), c.until)
            for c in latest
            if now < c.until and len(c.handoffs) < MAX_HANDOFFS and self.undecided(c)
        ]
        return plan(asks_of(waits), sittings, told_today(latest, now), now)

    def _stop(self, stop: Stop) -> int:
        told = frozenset(stop.people)
        opening = Together(stop.why, stop.lead, stop.asks, "", told, stop.waited_mils)

        def work(unit: Unit) -> Result:
            return {"opened": open_together(self._audiences, unit, opening) is not None}

        done = self._kernel.run(
            SYSTEM, work, before_commit=lambda: fault_point("checkpoint.before_commit")
        )
        fault_point("checkpoint.after_commit")
        return 1 if done["opened"] else 0

    def _join(self, join: Join) -> int:
        def work(unit: Unit) -> Result:
            h = unit.get(Handoff, join.ask_id)
            if h.deferral is None or h.frozen_at is not None:
                return {"joined": False}
            checkpoint_id = CheckpointId(join.checkpoint_id)
            if len(unit.get(Checkpoint, checkpoint_id).handoffs) >= MAX_HANDOFFS:
                return {"joined": False}  # the sweep after this one opens another
            ask_now(unit, h, people_of(self._audiences, unit, h), Told(checkpoint_id))
            joined = CheckpointJoined(checkpoint_id, (h.handoff_id,))
            unit.record(Checkpoint, checkpoint_id, [joined])
            return {"joined": True}

        return 1 if self._kernel.run(SYSTEM, work)["joined"] else 0


def _for(h: Handoff, person_id: PersonId) -> bool:
    return h.deferral is not None and person_id in h.deferral.people
