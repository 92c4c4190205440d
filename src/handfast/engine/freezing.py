"""Freezes what waits about stopped agents, and thaws it when they are let go: in batches, by the sweep."""

from datetime import UTC, datetime, timedelta

from handfast.core.domain import handoff_routing as routing
from handfast.core.domain.agent import Agent
from handfast.core.domain.control import ALL, TEAM
from handfast.core.domain.events import SYSTEM
from handfast.core.domain.handoff import WAITING, Handoff, Status
from handfast.core.domain.installation import INSTALLATION_ID, Installation
from handfast.engine.kernel import Kernel, Result, Unit
from handfast.engine.killing import KillSwitch, freezes
from handfast.engine.paging import every
from handfast.engine.projections import KINDS, load
from handfast.storage.api import Query

BATCH = 200
AGAIN = timedelta(seconds=30)
"""A kill and its end may both fall between two sweeps: nothing shows then that anything was frozen."""
WHY = "kill switch"
_UNSTARTED = (*sorted(s.value for s in WAITING), Status.DECIDED.value)
_ANY_TIME = datetime(9000, 1, 1, tzinfo=UTC)


class Freezing:
    """Safe to run at any time and on any number of servers: what is written rests on what stops it."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._switch = KillSwitch(kernel)
        self._thawed: object = None  # the stops for which nothing was left to thaw, and when
        self._thawed_at = _ANY_TIME

    def sweep(self, limit: int = BATCH) -> int:
        """Freeze or thaw at most `limit` handoffs each. Gives how many were."""
        stopped = self._stopped()
        done = sum(self._freeze(agent_id, limit) for agent_id in stopped)
        now = self._kernel.clock.now()
        if self._thawed != stopped or abs(now - self._thawed_at) >= AGAIN:
            thawed, whole = self._thaw(limit)
            done += thawed
            self._thawed = stopped if whole and not thawed else None
            self._thawed_at = now
        return done

    def _stopped(self) -> tuple[str, ...]:
        """Ids of the agents whose handoffs are frozen; '' for everybody's."""
        row = self._kernel.store.load(f"installation/{INSTALLATION_ID}")
        state = load(KINDS[Installation], row.doc) if row else None
        if not isinstance(state, Installation):
            return ()
        frozen = [stop.scope for stop in state.stops.values() if stop.freezes]
        if ALL in frozen:
            return ("",)
        teams = [scope.removeprefix(TEAM) for scope in frozen]
        found = {a.agent_id for team in teams for a in self._switch.of_team(team)}
        rows = every(self._kernel.store, Query("agent", statuses=("suspended",)))
        suspended = (load(KINDS[Agent], r.doc) for r in rows)
        return tuple(sorted(found | {a.agent_id for a in suspended if isinstance(a, Agent)}))

    def _freeze(self, agent_id: str, limit: int) -> int:
        """What is frozen is due no more, so each batch finds the next ones."""
        query = Query(
            "handoff",
            statuses=_UNSTARTED,
            agent_id=agent_id,
            due_before=_ANY_TIME,
            limit=limit,
        )
        return sum(self._one(row.stream) for row in self._kernel.store.find(query))

    def _thaw(self, limit: int) -> tuple[int, bool]:
        """How many were thawed, and whether all that may be frozen were looked at: frozen ones have no date."""
        done = 0
        query = Query("handoff", statuses=_UNSTARTED, undated=True, limit=500)
        for row in every(self._kernel.store, query):
            state = load(KINDS[Handoff], row.doc)
            if isinstance(state, Handoff) and state.frozen_at is not None:
                done += self._one(row.stream)
                if done >= limit:
                    return done, False
        return done, True

    def _one(self, stream: str) -> int:
        """Bring one handoff into line with what is stopped. 1 when that changed it."""
        handoff_id = stream.partition("/")[2]

        def work(unit: Unit) -> Result:
            h = unit.get(Handoff, handoff_id)
            unit.rely_on(Installation, INSTALLATION_ID)
            unit.rely_on(Agent, h.agent_id)
            frozen = freezes(unit, h.agent_id)
            events = routing.freeze(h, WHY) if frozen else routing.thaw(h)
            unit.record(Handoff, handoff_id, events)
            return {"changed": len(events)}

        return 1 if self._kernel.run(SYSTEM, work)["changed"] else 0


def frozen_at_birth(unit: Unit, handoff: Handoff) -> Handoff:
    """A handoff opened while its agent is stopped begins frozen."""
    if not freezes(unit, handoff.agent_id):
        return handoff
    unit.rely_on(Installation, INSTALLATION_ID)  # a release at this moment must not miss it
    unit.rely_on(Agent, handoff.agent_id)
    return unit.record(Handoff, handoff.handoff_id, routing.freeze(handoff, WHY))
