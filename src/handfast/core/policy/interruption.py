"""When people are interrupted: which asks wait for one another, and which checkpoint opens now, and why.

An ask that may wait adds what its waiting costs: `rate_mils` a minute. When the asks of one person have cost
as much as one interruption, that person is told of all of them in one sitting (opening at that moment costs
at most twice what the best schedule would have, known in advance). What is urgent, what ends a stage of the
work, and what has waited its longest opens a checkpoint by itself. Whoever is interrupted gets everything
that waits for them.

Everything here is pure, and nothing here decides an ask: a checkpoint only asks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from handfast.core.domain.events_checkpoint import Why

MILS = 1_000
"""Costs are whole thousandths of a reviewer-minute, so that sums are exact and a replay gives the same."""
_MINUTE_US = 60_000_000
DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to people. `urgent` says why it cannot wait, '' when it can; `people` would be asked.

    `rate_mils` is what a minute of its waiting costs (what stands still for it), `cost_mils` what one
    interruption costs. `planned`: a stage of the work ends with it. `open_by` is its longest wait.
    """

    ask_id: str
    since: datetime
    open_by: datetime
    people: tuple[str, ...]
    rate_mils: int
    cost_mils: int
    per_day: int
    planned: bool = False
    urgent: str = ""

    def waited_mils(self, now: datetime) -> int:
        return _us(now - self.since) * self.rate_mils // _MINUTE_US


@dataclass(frozen=True, slots=True)
class Sitting:
    """A checkpoint that these people were told of and have not finished. Asks join it until `until`."""

    checkpoint_id: str
    people: frozenset[str]
    until: datetime


@dataclass(frozen=True, slots=True)
class Stop:
    """A checkpoint to open now. `people` are told of it, once; `lead` is the ask that opens it."""

    why: Why
    lead: str
    asks: tuple[str, ...]
    people: tuple[str, ...]
    waited_mils: int


@dataclass(frozen=True, slots=True)
class Join:
    """An ask that goes to people who sit over a checkpoint anyway."""

    ask_id: str
    checkpoint_id: str


@dataclass(frozen=True, slots=True)
class Wait:
    """An ask that goes on waiting. `opens_at` is when its cost opens it if nothing else comes, None while
    the people asked have had their interruptions of the day; `at_latest` holds in any case.

    `queue` asks wait for the same person, and have cost `waited_mils` of `cost_mils` so far.
    """

    ask_id: str
    opens_at: datetime | None
    at_latest: datetime
    queue: int
    waited_mils: int
    cost_mils: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens now, and when to look again at the latest (None: nothing waits)."""

    stops: tuple[Stop, ...]
    joins: tuple[Join, ...]
    waits: tuple[Wait, ...]
    next_at: datetime | None


def plan(
    asks: Iterable[Ask], sittings: Sequence[Sitting], told: Mapping[str, int], now: datetime
) -> Plan:
    """What opens now. `told` counts the interruptions each person had in the last 24 hours, urgent ones
    left out. The order of `asks` and `sittings` does not matter.
    """
    waiting = {ask.ask_id: ask for ask in sorted(asks, key=_order)}
    counted = dict(told)
    stops: list[Stop] = []
    joins = _joins(waiting, sittings, counted, now)
    while (opening := _opening(waiting, counted, now)) is not None:
        why, lead, people = opening
        stop = _gathered(waiting, counted, why, lead, people, now)
        stops.append(stop)
        if why is not Why.URGENT:
            counted |= {p: counted.get(p, 0) + 1 for p in stop.people}
    waits = _waits(waiting, counted, now)
    times = [t for w in waits for t in (w.opens_at, w.at_latest) if t is not None]
    return Plan(tuple(stops), tuple(joins), waits, min(times, default=None))


def _order(ask: Ask) -> tuple[datetime, str]:
    return ask.since, ask.ask_id


def _us(length: timedelta) -> int:
    return max(0, length // timedelta(microseconds=1))


def _room(ask: Ask, told: Mapping[str, int]) -> tuple[str, ...]:
    """Those of its people who have an interruption left today."""
    return tuple(p for p in ask.people if told.get(p, 0) < ask.per_day)


def _joins(
    waiting: dict[str, Ask], sittings: Sequence[Sitting], told: Mapping[str, int], now: datetime
) -> list[Join]:
    """What needs nobody who is not there already. Urgent asks tell people in any case."""
    open_ones = sorted((s for s in sittings if now < s.until), key=lambda s: s.checkpoint_id)
    joins = []
    for ask in [a for a in waiting.values() if not a.urgent]:
        needed = set(_room(ask, told))
        fits = [s for s in open_ones if needed <= s.people and s.people & set(ask.people)]
        if fits:
            joins.append(Join(ask.ask_id, fits[-1].checkpoint_id))
            del waiting[ask.ask_id]
    return joins


def _opening(
    waiting: Mapping[str, Ask], told: Mapping[str, int], now: datetime
) -> tuple[Why, Ask, tuple[str, ...]] | None:
    """The first reason to open one, the ask that gives it, and whom it tells for certain."""
    asks = waiting.values()
    for ask in asks:
        if ask.urgent:
            return Why.URGENT, ask, ask.people
    for ask in asks:
        if ask.open_by <= now:
            return Why.LATEST, ask, _room(ask, told) or ask.people
    for ask in asks:
        if ask.planned and (room := _room(ask, told)):
            return Why.PLANNED, ask, room
    for person in sorted({p for ask in asks for p in _room(ask, told)}):
        queue = _queue(asks, person, told)
        if _cost_us(queue, now) >= _threshold_us(queue):
            return Why.COST, queue[0], (person,)
    return None


def _queue(asks: Iterable[Ask], person: str, told: Mapping[str, int]) -> list[Ask]:
    return [ask for ask in asks if person in _room(ask, told)]


def _cost_us(queue: Iterable[Ask], now: datetime) -> int:
    return sum(_us(now - ask.since) * ask.rate_mils for ask in queue)


def _threshold_us(queue: Iterable[Ask]) -> int:
    return min(ask.cost_mils for ask in queue) * _MINUTE_US


def _gathered(
    waiting: dict[str, Ask],
    told: Mapping[str, int],
    why: Why,
    lead: Ask,
    people: tuple[str, ...],
    now: datetime,
) -> Stop:
    """Take out of `waiting` all that goes to whoever is told, and tell whoever that goes to."""
    taken = [waiting.pop(lead.ask_id)]
    interrupted = {*people, *_room(lead, told)}
    while more := [a for a in waiting.values() if interrupted & set(a.people)]:
        for ask in more:
            taken.append(waiting.pop(ask.ask_id))
            interrupted |= set(ask.people if ask.urgent else _room(ask, told))
    waited = _cost_us(taken, now) // _MINUTE_US
    asks = tuple(ask.ask_id for ask in taken)
    return Stop(why, lead.ask_id, asks, tuple(sorted(interrupted)), waited)


@dataclass(frozen=True, slots=True)
class _Queue:
    """What waits for one person: when it is full if nothing else comes (None: never), and its figures."""

    full_at: datetime | None
    size: int
    waited_mils: int
    cost_mils: int


def _queue_of(queue: Sequence[Ask], now: datetime) -> _Queue:
    rate, cost, full = (
        sum(ask.rate_mils for ask in queue),
        _cost_us(queue, now),
        _threshold_us(queue),
    )
    at = now + timedelta(microseconds=max(0, -((cost - full) // rate))) if rate else None
    return _Queue(at, len(queue), cost // _MINUTE_US, full // _MINUTE_US)


def _waits(waiting: Mapping[str, Ask], told: Mapping[str, int], now: datetime) -> tuple[Wait, ...]:
    """Each seen from the person whose queue is full first."""
    people = {p for ask in waiting.values() for p in _room(ask, told)}
    queues = {p: _queue_of(_queue(waiting.values(), p, told), now) for p in people}
    return tuple(_wait(ask, [queues[p] for p in _room(ask, told)], now) for ask in waiting.values())


def _wait(ask: Ask, queues: Sequence[_Queue], now: datetime) -> Wait:
    seen = min(
        queues,
        key=lambda q: (q.full_at or ask.open_by, -q.size),
        default=replace(_queue_of([ask], now), full_at=None),
    )
    opens_at = min(seen.full_at or ask.open_by, ask.open_by) if queues else None
    return Wait(ask.ask_id, opens_at, ask.open_by, seen.size, seen.waited_mils, seen.cost_mils)
