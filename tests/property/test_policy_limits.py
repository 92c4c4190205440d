"""Whatever the limits: more use never meets a milder level, and the order of policies does not matter."""

from decimal import Decimal
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from handfast.core.domain.brief import Budget
from handfast.core.domain.limit_facts import History, Level
from handfast.core.policy.limits import (
    METRICS,
    Bound,
    Limits,
    Threshold,
    check,
    effective,
    limits,
    merged,
    raise_of,
)

AMOUNTS = st.decimals("0.01", "1000", places=2)
ORDER = list(Level)
CEILINGS = sorted(m.name for m in METRICS.values() if not m.floor)


def bounds(metric: str) -> st.SearchStrategy[tuple[Bound, ...]]:
    multiple = st.booleans() if METRICS[metric].relative else st.just(False)
    one = st.builds(Bound, AMOUNTS, multiple, st.sampled_from(["policy", "brief", "default"]))
    return st.lists(one, max_size=1).map(tuple)


def thresholds(metric: str) -> st.SearchStrategy[Threshold]:
    return st.builds(Threshold, bounds(metric), bounds(metric), bounds(metric))


LIMITS = st.fixed_dictionaries({}, optional={m: thresholds(m) for m in METRICS}).map(limits)
USAGE = st.fixed_dictionaries({}, optional=dict.fromkeys(METRICS, AMOUNTS))
HISTORIES = st.builds(
    History,
    st.fixed_dictionaries({}, optional=dict.fromkeys(METRICS, AMOUNTS.map(str))),
    st.fixed_dictionaries({}, optional=dict.fromkeys(METRICS, st.integers(0, 9))),
)


def ranks(usage: dict[str, Decimal], held: Limits, history: History) -> dict[str, int]:
    return {c.metric: ORDER.index(c.level) for c in check(usage, held, history)}


@given(USAGE, LIMITS, HISTORIES, st.sampled_from(CEILINGS), AMOUNTS)
def test_more_use_never_meets_a_milder_level(
    usage: dict[str, Decimal], held: Limits, history: History, metric: str, more: Decimal
) -> None:
    before = ranks(usage, held, history)
    grown = {**usage, metric: usage.get(metric, Decimal(0)) + more}
    after = ranks(grown, held, history)
    assert all(after.get(name, -1) >= rank for name, rank in before.items())


@given(USAGE, LIMITS, HISTORIES, AMOUNTS)
def test_less_confidence_never_meets_a_milder_level(
    usage: dict[str, Decimal], held: Limits, history: History, less: Decimal
) -> None:
    before = ranks({"stated_confidence": Decimal(5), **usage}, held, history)
    lower = usage.get("stated_confidence", Decimal(5)) - less
    after = ranks({**usage, "stated_confidence": lower}, held, history)
    assert all(after.get(name, -1) >= rank for name, rank in before.items())


@given(st.lists(LIMITS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_merging_does_not_depend_on_the_order(policies: list[Limits], random: object) -> None:
    shuffled = list(policies)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis's Random
    assert reduce(merged, policies) == reduce(merged, shuffled)
    assert merged(policies[0], policies[0]) == reduce(merged, [policies[0]] * 3)


@given(USAGE, LIMITS, LIMITS, HISTORIES)
def test_one_more_policy_never_loosens(
    usage: dict[str, Decimal], one: Limits, other: Limits, history: History
) -> None:
    alone, both = ranks(usage, one, history), ranks(usage, merged(one, other), history)
    assert all(both.get(name, -1) >= rank for name, rank in alone.items())


@given(USAGE, LIMITS, st.builds(Budget, AMOUNTS.map(str), st.integers(0, 99)), HISTORIES)
def test_a_budget_never_loosens(
    usage: dict[str, Decimal], own: Limits, budget: Budget, history: History
) -> None:
    without, held = effective(None, own, Budget()), effective(None, own, budget)
    before, after = ranks(usage, without, history), ranks(usage, held, history)
    assert all(after.get(name, -1) >= rank for name, rank in before.items())


@given(USAGE, LIMITS, HISTORIES)
def test_what_a_person_raised_is_not_met_again_at_once(
    usage: dict[str, Decimal], held: Limits, history: History
) -> None:
    met = check(usage, held, history)
    raised = {c.metric: raise_of(c, usage[c.metric]) for c in met}
    again = {c.metric: c.level for c in check(usage, held, history, raised)}
    for c in met:
        assert c.metric not in again or ORDER.index(again[c.metric]) > ORDER.index(c.level), c
