"""What holds of every plan of interruptions, whatever waits, whoever is asked and whenever one looks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from handfast.core.domain.events_checkpoint import Why
from handfast.core.policy.interruption import DAY, Ask, Plan, Sitting, plan

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
PEOPLE = ("ana", "ben", "cy")
MINUTE = timedelta(minutes=1)


@st.composite
def _ask(draw: st.DrawFn, number: int) -> Ask:
    since = START + draw(st.integers(0, 600)) * MINUTE
    return Ask(
        ask_id=f"ask-{number}",
        since=since,
        open_by=since + draw(st.integers(1, 300)) * MINUTE,
        people=tuple(sorted(draw(st.sets(st.sampled_from(PEOPLE), min_size=1)))),
        rate_mils=draw(st.sampled_from([0, 20, 150, 3_000])),
        cost_mils=draw(st.sampled_from([1_000, 20_000])),
        per_day=draw(st.integers(1, 3)),
        planned=draw(st.integers(0, 5)) == 0,
        urgent=draw(st.sampled_from(["", "", "", "critical risk"])),
    )


@st.composite
def _asks(draw: st.DrawFn) -> list[Ask]:
    return [draw(_ask(n)) for n in range(draw(st.integers(0, 12)))]


TOLD = st.dictionaries(st.sampled_from(PEOPLE), st.integers(0, 4))
SITTINGS = st.lists(
    st.builds(
        Sitting,
        checkpoint_id=st.sampled_from(["cp-1", "cp-2"]),
        people=st.frozensets(st.sampled_from(PEOPLE)),
        until=st.integers(0, 700).map(lambda m: START + m * MINUTE),
    ),
    max_size=2,
)
NOW = st.integers(600, 900).map(lambda m: START + m * MINUTE)


def _opened(made: Plan) -> list[str]:
    return [a for stop in made.stops for a in stop.asks] + [j.ask_id for j in made.joins]


def _left(asks: Sequence[Ask], made: Plan) -> list[Ask]:
    kept = {w.ask_id for w in made.waits}
    return [a for a in asks if a.ask_id in kept]


@given(_asks(), SITTINGS, TOLD, NOW, st.randoms(use_true_random=False))
def test_a_plan_is_a_partition_and_does_not_depend_on_order(
    asks: list[Ask], sittings: list[Sitting], told: dict[str, int], now: datetime, random: object
) -> None:
    made = plan(asks, sittings, told, now)
    assert sorted(_opened(made) + [w.ask_id for w in made.waits]) == sorted(a.ask_id for a in asks)
    shuffled, others = list(asks), list(sittings)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    random.shuffle(others)  # type: ignore[attr-defined]
    assert plan(shuffled, others, told, now) == made


@dataclass(frozen=True)
class _Seen:
    asks: list[Ask]
    sittings: list[Sitting]
    told: dict[str, int]
    now: datetime
    made: Plan


def _nothing_urgent_waits_and_it_tells_everybody_it_asks(s: _Seen) -> None:
    urgent = {a.ask_id: a for a in s.asks if a.urgent}
    opened = {a: stop for stop in s.made.stops for a in stop.asks}
    assert urgent.keys() <= opened.keys()
    assert all(set(a.people) <= set(opened[i].people) for i, a in urgent.items())


def _nothing_waits_beyond_its_longest_wait(s: _Seen) -> None:
    assert all(a.open_by > s.now for a in _left(s.asks, s.made))
    assert all(w.at_latest >= (w.opens_at or w.at_latest) for w in s.made.waits)


def _what_goes_on_waiting_has_cost_less_than_an_interruption(s: _Seen) -> None:
    """For everybody who has an interruption left today."""
    counted = Counter(s.told)
    for stop in s.made.stops:
        if stop.why is not Why.URGENT:
            counted.update(stop.people)
    left = _left(s.asks, s.made)
    for person in PEOPLE:
        queue = [a for a in left if person in a.people and counted[person] < a.per_day]
        if queue:
            waited = sum((s.now - a.since) / MINUTE * a.rate_mils for a in queue if s.now > a.since)
            assert waited < min(a.cost_mils for a in queue)
            assert not any(a.planned for a in queue)


def _whoever_is_interrupted_has_nothing_left_waiting(s: _Seen) -> None:
    interrupted = {p for stop in s.made.stops for p in stop.people}
    assert not any(interrupted & set(a.people) for a in _left(s.asks, s.made))


def _nobody_is_told_beyond_the_cap_but_of_what_waited_its_longest(s: _Seen) -> None:
    by_id = {a.ask_id: a for a in s.asks}
    counted = Counter(s.told)
    for stop in s.made.stops:
        most = {p: max(by_id[a].per_day for a in stop.asks) for p in stop.people}
        if stop.why in (Why.COST, Why.PLANNED):
            assert all(counted[p] < most[p] for p in stop.people)
        if stop.why is not Why.URGENT:
            counted.update(stop.people)


def _who_joins_needs_nobody_who_is_not_there(s: _Seen) -> None:
    by_id = {a.ask_id: a for a in s.asks}
    for join in s.made.joins:
        ask = by_id[join.ask_id]
        open_ones = [
            sat
            for sat in s.sittings
            if sat.checkpoint_id == join.checkpoint_id and s.now < sat.until
        ]
        needed = {p for p in ask.people if s.told.get(p, 0) < ask.per_day}
        assert any(needed <= sat.people and sat.people & set(ask.people) for sat in open_ones)
        assert not ask.urgent


PROMISES = (
    _nothing_urgent_waits_and_it_tells_everybody_it_asks,
    _nothing_waits_beyond_its_longest_wait,
    _what_goes_on_waiting_has_cost_less_than_an_interruption,
    _whoever_is_interrupted_has_nothing_left_waiting,
    _nobody_is_told_beyond_the_cap_but_of_what_waited_its_longest,
    _who_joins_needs_nobody_who_is_not_there,
)


@given(_asks(), SITTINGS, TOLD, NOW)
def test_every_plan_keeps_every_promise(
    asks: list[Ask], sittings: list[Sitting], told: dict[str, int], now: datetime
) -> None:
    seen = _Seen(asks, sittings, told, now, plan(asks, sittings, told, now))
    for promise in PROMISES:
        promise(seen)


@given(_asks(), SITTINGS, TOLD, NOW)
def test_the_next_look_finds_something_to_open_and_an_earlier_one_does_not(
    asks: list[Ask], sittings: list[Sitting], told: dict[str, int], now: datetime
) -> None:
    """`next_at` is exact: a sweep that comes at that time is neither early nor late."""
    made = plan(asks, sittings, told, now)
    left = _left(asks, made)
    counted = Counter(told)
    for stop in made.stops:
        if stop.why is not Why.URGENT:
            counted.update(stop.people)
    if made.next_at is None:
        assert not left
        return
    assert plan(left, [], counted, made.next_at).stops
    before = made.next_at - timedelta(microseconds=1)
    if before > now:
        assert not plan(left, [], counted, before).stops


@dataclass(frozen=True)
class _Told:
    at: datetime
    why: Why
    people: tuple[str, ...]
    asks: tuple[str, ...]


def _lived(asks: Sequence[Ask]) -> list[_Told]:
    """The whole story: every ask comes at its time, and each is opened when the plan says."""
    history: list[_Told] = []
    waiting: dict[str, Ask] = {}
    coming = sorted(asks, key=lambda a: (a.since, a.ask_id))
    now = START
    while coming or waiting:
        while coming and coming[0].since <= now:
            ask = coming.pop(0)
            waiting[ask.ask_id] = ask
        counted: Counter[str] = Counter()
        for told in history:
            if told.why is not Why.URGENT and told.at > now - DAY:
                counted.update(told.people)
        made = plan(list(waiting.values()), [], counted, now)
        for stop in made.stops:
            history.append(_Told(now, stop.why, stop.people, stop.asks))
            for ask_id in stop.asks:
                del waiting[ask_id]
        times = [t for t in (made.next_at, coming[0].since if coming else None) if t is not None]
        now = min(times, default=now)
    return history


@given(_asks())
def test_a_replay_opens_the_same_at_the_same_moments_and_every_ask_once(asks: list[Ask]) -> None:
    history = _lived(asks)
    assert _lived(list(reversed(asks))) == history
    opened = Counter(a for told in history for a in told.asks)
    assert opened == Counter(a.ask_id for a in asks)
    by_id = {a.ask_id: a for a in asks}
    for told in history:
        for ask_id in told.asks:
            ask = by_id[ask_id]
            assert ask.since <= told.at <= ask.open_by
            assert not ask.urgent or told.at == ask.since


@given(_asks())
def test_gathering_never_interrupts_more_often_than_asking_at_once(asks: list[Ask]) -> None:
    gathered = Counter(p for told in _lived(asks) for p in told.people)
    at_once = Counter(p for ask in asks for p in ask.people)
    assert all(gathered[p] <= at_once[p] for p in PEOPLE)


@given(st.lists(st.integers(0, 600), min_size=1, max_size=9), st.sampled_from([1_000, 5_000]))
def test_opening_at_the_cost_of_an_interruption_is_at_most_twice_the_best(
    minutes: list[int], cost: int
) -> None:
    """For one person, against the cheapest schedule that knows what comes: it asks in batches, each at the
    moment of its last ask."""
    since = sorted(START + m * MINUTE for m in minutes)
    far = START + 300 * DAY
    asks = [Ask(f"a{i}", t, far, ("ana",), 150, cost, 1_000) for i, t in enumerate(since)]
    by_id = {a.ask_id: a for a in asks}
    told = _lived(asks)
    ours = sum(cost + sum(by_id[a].waited_mils(t.at) for a in t.asks) for t in told)
    best = [0] * (len(asks) + 1)
    for end in range(1, len(asks) + 1):
        at = asks[end - 1].since
        batches = (
            best[start] + cost + sum(a.waited_mils(at) for a in asks[start:end])
            for start in range(end)
        )
        best[end] = min(batches)
    assert ours <= 2 * best[-1] + len(asks)


def test_a_cost_of_nothing_interrupts_at_once() -> None:
    ask = Ask("a", START, START + DAY, ("ana",), 150, 0, 3)
    assert [s.why for s in plan([ask], [], {}, START).stops] == [Why.COST]
    assert plan([replace(ask, cost_mils=1)], [], {}, START).waits
