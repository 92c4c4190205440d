"""Asks that may wait are deferred, and asked together when a checkpoint opens. `core.policy.interruption` says
when; this writes it down and asks.

A deferred handoff is a row with a due time, as every waiting one: nothing is held in memory, any number of
servers may sweep, and what was due while none ran opens at the next start. Whom a handoff may interrupt now
is `Handoff.to_tell`; `handoff.requested` is posted when people are asked, never before.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from handfast.core.domain import handoff_routing as routing
from handfast.core.domain.checkpoint import MAX_HANDOFFS, Checkpoint
from handfast.core.domain.events_checkpoint import (
    CheckpointOpened,
    HandoffDeferred,
    Why,
)
from handfast.core.domain.events_handoff import HandoffRequested
from handfast.core.domain.handoff import Handoff, Status
from handfast.core.domain.handoff_routing import MAX_RECORDED, Told
from handfast.core.domain.ids import CheckpointId, HandoffId, PersonId
from handfast.core.policy.interruption import DAY, Ask, Plan, Stop, plan
from handfast.core.policy.interruption_section import Asked, Budget, urgent_because
from handfast.engine.audiences import Audiences
from handfast.engine.ids import new_id
from handfast.engine.kernel import Kernel, Unit
from handfast.engine.projections import BY_NAME, load
from handfast.storage.api import Query

MAX_PENDING = 1_000
"""So many are planned together; what is beyond them opens at its latest time."""
_RECENT = 500
_MAX_TOLD = 500
_NOTHING = Plan((), (), (), None)


def first_asked(
    audiences: Audiences,
    unit: Unit,
    request: HandoffRequested,
    people: tuple[PersonId, ...],
    asked: Asked,
) -> Handoff:
    """Record a new handoff: asked at once, or deferred where the policy lets it wait.

    An urgent one takes along all that waits for the people it interrupts.
    """
    repository = "".join(asked.facts["repository"])
    budget = audiences.budget(unit, repository)
    hid = request.handoff_id
    if not budget.cost_mils or not people:
        unit.post("handoff.requested", {"handoff_id": hid})
        return unit.record(Handoff, hid, [request, *routing.route(request, people, unit.now)])
    deferred = _deferred(request, budget, asked, people, unit.now)
    made = unit.record(Handoff, hid, [request, deferred])
    if urgent := urgent_because(budget, asked):
        stop = _along(audiences.kernel, made, urgent, unit.now)
        told = frozenset(stop.people)
        open_together(
            audiences, unit, Together(Why.URGENT, hid, stop.asks, urgent, told, stop.waited_mils)
        )
    return unit.get(Handoff, hid)


def _deferred(
    request: HandoffRequested,
    budget: Budget,
    asked: Asked,
    people: tuple[PersonId, ...],
    now: datetime,
) -> HandoffDeferred:
    """It waits no longer than people will have to decide it."""
    longest = min(budget.wait_at_most_s, sum(request.levels_s))
    return HandoffDeferred(
        handoff_id=request.handoff_id,
        people=people[:MAX_RECORDED],
        open_by=now + timedelta(seconds=longest),
        rate_mils=budget.blocking_mils if asked.blocking else budget.other_mils,
        cost_mils=budget.cost_mils,
        per_day=budget.per_day,
        sitting_s=budget.sitting_s,
        stage=asked.stage,
        planned=asked.ends_stage(budget.planned),
    )


def _along(kernel: Kernel, made: Handoff, urgent: str, now: datetime) -> Stop:
    """An urgent one, and all that waits for the people it interrupts."""
    others = [h for h in pending(kernel) if h.handoff_id != made.handoff_id]
    told = told_today(recent(kernel), now)
    return plan([*asks_of([made], urgent), *asks_of(others)], [], told, now).stops[0]


@dataclass(frozen=True, slots=True)
class Together:
    """`asks` go together, `lead` first. `told` are those who may be interrupted; None: all who are asked."""

    why: Why
    lead: str
    asks: tuple[str, ...]
    because: str = ""
    told: frozenset[str] | None = None
    waited_mils: int = 0


def open_together(audiences: Audiences, unit: Unit, o: Together) -> CheckpointId | None:
    """Ask about those that still wait. None when the one that opens it does not: nothing is written then.

    Everybody is told of one handoff only: the first that is asked of them. Where nobody of those who may be
    interrupted is asked any more (others are on call by now), all who are asked are told.
    """
    lead = unit.get(Handoff, o.lead)
    if lead.deferral is None or lead.frozen_at is not None:
        return None
    checkpoint_id = CheckpointId(new_id("cp"))
    asked: list[HandoffId] = []
    told: set[PersonId] = set()
    for handoff_id in (o.lead, *(a for a in o.asks if a != o.lead))[:MAX_HANDOFFS]:
        h = unit.get(Handoff, handoff_id)
        if h.deferral is None or h.frozen_at is not None:
            continue
        people = people_of(audiences, unit, h)
        may = [p for p in people if o.told is None or p in o.told]
        if o.why is not Why.PERSON and not told.intersection(people):
            may = may or list(people)
        now_told = tuple(p for p in may if p not in told)[:_MAX_TOLD]
        told.update(now_told)
        ask_now(unit, h, people, Told(checkpoint_id, now_told))
        asked.append(h.handoff_id)
    opened = CheckpointOpened(
        checkpoint_id=checkpoint_id,
        why=o.why,
        lead=lead.handoff_id,
        handoffs=tuple(asked),
        people=tuple(sorted(told))[:MAX_RECORDED],
        until=unit.now + timedelta(seconds=lead.deferral.sitting_s),
        waited_mils=o.waited_mils,
        because=o.because,
    )
    unit.record(Checkpoint, checkpoint_id, [opened])
    unit.post("checkpoint.opened", {"checkpoint_id": checkpoint_id})
    return checkpoint_id


def ask_now(unit: Unit, h: Handoff, people: tuple[PersonId, ...], told: Told) -> None:
    unit.record(Handoff, h.handoff_id, routing.gathered(h, people, unit.now, told))
    unit.post("handoff.requested", {"handoff_id": h.handoff_id})


def people_of(audiences: Audiences, unit: Unit, h: Handoff) -> tuple[PersonId, ...]:
    return audiences.asked(unit, routing.steps(h)[0].to, audiences.repository_of(unit, h))


def taken_up(audiences: Audiences, unit: Unit, h: Handoff) -> Handoff:
    """A person takes it up before its checkpoint opens: it is asked now, and nobody else is told of it."""
    if h.deferral is None:
        return h
    people = people_of(audiences, unit, h)
    events = routing.gathered(h, people, unit.now, Told(CheckpointId("")))
    return unit.record(Handoff, h.handoff_id, events)


def open_alone(audiences: Audiences, unit: Unit, h: Handoff) -> None:
    """What has waited its longest, and no plan opened."""
    open_together(audiences, unit, Together(Why.LATEST, h.handoff_id, ()))


def pending(kernel: Kernel) -> list[Handoff]:
    """Handoffs that wait for a checkpoint, by risk and age: at most MAX_PENDING, without frozen ones."""
    query = Query("handoff", statuses=(Status.REQUESTED.value,), limit=MAX_PENDING)
    states = (load(BY_NAME["handoff"], row.doc) for row in kernel.store.find(query))
    found = [h for h in states if isinstance(h, Handoff)]
    return [h for h in found if h.deferral is not None and h.frozen_at is None]


def recent(kernel: Kernel, limit: int = _RECENT) -> list[Checkpoint]:
    """Newest first."""
    rows = kernel.store.find(Query("checkpoint", newest_first=True, limit=limit))
    states = (load(BY_NAME["checkpoint"], row.doc) for row in rows)
    return [c for c in states if isinstance(c, Checkpoint)]


def asks_of(handoffs: Iterable[Handoff], urgent: str = "") -> list[Ask]:
    return [
        Ask(
            ask_id=h.handoff_id,
            since=h.deferral.since,
            open_by=h.due_at or h.deferral.since,
            people=h.deferral.people,
            rate_mils=h.deferral.rate_mils,
            cost_mils=h.deferral.cost_mils,
            per_day=h.deferral.per_day,
            planned=h.deferral.planned,
            urgent=urgent,
        )
        for h in handoffs
        if h.deferral is not None
    ]


def told_today(latest: Iterable[Checkpoint], now: datetime) -> dict[str, int]:
    """How many checkpoints each person was told of in the last 24 hours, urgent ones left out."""
    told: dict[str, int] = {}
    for checkpoint in latest:
        if checkpoint.why is Why.URGENT or checkpoint.opened_at <= now - DAY:
            continue
        for person in checkpoint.people:
            told[person] = told.get(person, 0) + 1
    return told
