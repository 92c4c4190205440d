"""Limits as values: read from a policy, merged, held against figures, and put into words."""

from decimal import Decimal

import pytest

from handfast.core.domain.brief import Budget
from handfast.core.domain.limit_facts import History, Level, Raised
from handfast.core.policy import limit_words
from handfast.core.policy.limit_section import read_limits
from handfast.core.policy.limits import (
    DEFAULTS,
    FIRST_RUNS,
    METRICS,
    Limits,
    check,
    effective,
    merged,
    raise_of,
)
from handfast.policyfile.load import check as problems_of

HISTORY = History({"cost_usd": "0.60", "tool_calls": "40"}, {"cost_usd": 12, "tool_calls": 12})
NO_HISTORY = History()
PLAIN = Budget()


def levels(held: Limits, history: History = NO_HISTORY, **figures: str) -> dict[str, str]:
    found = check({m: Decimal(f) for m, f in figures.items()}, held, history)
    return {c.metric: c.level.value for c in found}


def test_a_multiple_is_of_the_agents_own_median() -> None:
    assert levels(DEFAULTS, HISTORY, cost_usd="1.19") == {}
    assert levels(DEFAULTS, HISTORY, cost_usd="1.20") == {"cost_usd": "warn"}
    assert levels(DEFAULTS, HISTORY, cost_usd="1.80") == {"cost_usd": "hand_over"}
    (met,) = check({"cost_usd": Decimal("1.85")}, DEFAULTS, HISTORY)
    assert limit_words.sentence(met) == (
        "Cost $1.85 of $1.80 (3x this agent's own median of $0.60 over 12 earlier runs)."
    )


def test_with_fewer_than_five_runs_a_fixed_amount_holds_and_says_so() -> None:
    few = History({"cost_usd": "0.01"}, {"cost_usd": 4})
    first = FIRST_RUNS["cost_usd"][Level.HAND_OVER]
    assert levels(DEFAULTS, few, cost_usd="0.5") == {}
    (met,) = check({"cost_usd": first}, DEFAULTS, few)
    assert (met.level, met.source, met.limit) == (Level.HAND_OVER, "first_runs", "5")
    assert "4 earlier runs to compare with, 5 are needed" in limit_words.sentence(met)
    enough = History({"cost_usd": "0.01"}, {"cost_usd": 5})
    assert levels(DEFAULTS, enough, cost_usd="0.5") == {"cost_usd": "hand_over"}


def test_what_is_not_known_meets_nothing() -> None:
    assert levels(read_limits({"reasoning_s": {"stop": 1}})) == {}


def test_stated_confidence_is_met_at_or_below() -> None:
    held = read_limits({"stated_confidence": {"warn": 0.5, "hand_over": 0.3}})
    assert levels(held, stated_confidence="0.51") == {}
    assert levels(held, stated_confidence="0.5") == {"stated_confidence": "warn"}
    assert levels(held, stated_confidence="0.3") == {"stated_confidence": "hand_over"}


def test_the_organisation_replaces_a_default_and_the_rest_only_tighten() -> None:
    said = read_limits({"cost_usd": {"hand_over": 9}, "consecutive_errors": "off"})
    own = read_limits({"cost_usd": {"hand_over": 20}, "retries": {"hand_over": 2}})
    held = effective(said, own, Budget(cost_usd="7.50"))
    assert levels(held, cost_usd="7.4", consecutive_errors="50") == {}
    assert levels(held, cost_usd="7.5") == {"cost_usd": "stop"}
    assert levels(held, retries="2") == {"retries": "hand_over"}
    assert levels(effective(said, own, PLAIN), cost_usd="9") == {"cost_usd": "hand_over"}


def test_without_any_policy_the_defaults_hold_and_a_repository_cannot_loosen_them() -> None:
    own = read_limits({"consecutive_errors": {"hand_over": 50}})
    assert levels(effective(None, own, PLAIN), consecutive_errors="3") == {
        "consecutive_errors": "hand_over"
    }


def test_the_budget_is_a_hard_bound_and_says_where_it_comes_from() -> None:
    held = effective(None, None, Budget(tool_calls=10, wall_s=60))
    (met,) = check({"tool_calls": Decimal(10)}, held, HISTORY)
    assert (met.level, limit_words.because(met)) == (Level.STOP, "the budget of the brief")


def test_a_raised_limit_does_not_trigger_at_once_and_then_holds_again() -> None:
    (met,) = check({"cost_usd": Decimal("1.85")}, DEFAULTS, HISTORY)
    raised = {"cost_usd": raise_of(met, Decimal("1.90"))}
    assert raised["cost_usd"] == Raised("cost_usd", Level.HAND_OVER, "3.7")
    handed = [
        c
        for c in check({"cost_usd": Decimal("3.69")}, DEFAULTS, HISTORY, raised)
        if c.level is not Level.WARN
    ]
    assert handed == []
    (again,) = check({"cost_usd": Decimal("3.7")}, DEFAULTS, HISTORY, raised)
    assert (again.level, again.source, again.step) == (Level.HAND_OVER, "raised", "1.8")


def test_raising_a_hard_bound_raises_what_lies_below_it() -> None:
    held = effective(None, None, Budget(cost_usd="1"))
    (met,) = check({"cost_usd": Decimal("1.85")}, held, HISTORY)
    assert met.level is Level.STOP
    raised = {"cost_usd": raise_of(met, Decimal("1.85"))}
    assert check({"cost_usd": Decimal("2.8")}, held, HISTORY, raised) == ()


def test_floors_are_raised_downwards() -> None:
    held = read_limits({"stated_confidence": {"hand_over": 0.3}})
    (met,) = check({"stated_confidence": Decimal("0.2")}, held, NO_HISTORY)
    raised = {"stated_confidence": raise_of(met, Decimal("0.2"))}
    assert check({"stated_confidence": Decimal("0.1")}, held, NO_HISTORY, raised) == ()


def test_merging_keeps_the_tighter_amount_and_the_tighter_multiple() -> None:
    one = read_limits({"cost_usd": {"hand_over": "4x_median"}})
    other = read_limits({"cost_usd": {"hand_over": 3}})
    both = merged(one, other)
    assert levels(both, HISTORY, cost_usd="2.4") == {"cost_usd": "hand_over"}
    pricey = History({"cost_usd": "2"}, {"cost_usd": 9})
    assert levels(both, pricey, cost_usd="3") == {"cost_usd": "hand_over"}


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("cost_usd: {warn: 5, hand_over: 3}", "3:14", "never counts"),
        ("cost_usd: {hard: 3}", "3:14", "unknown"),
        ("compactions: {warn: 2x_median}", "3:17", "cannot be a limit"),
        ("context_fill: {warn: 1.5}", "3:18", "share above 0"),
        ("tool_calls: {warn: 1.5}", "3:16", "whole number"),
        ("cost_usd: {warn: .nan}", "3:14", "number above 0"),
        ("cost_usd: {warn: true}", "3:14", "True"),
        ("cost_usd: {warn: 0}", "3:14", "number above 0"),
        ("cost: {warn: 1}", "3:3", "unknown"),
        ("cost_usd: 3", "3:3", "not a mapping"),
        ("cost_usd: {}", "3:3", "no limit"),
        ("stated_confidence: {warn: 0.2, hand_over: 0.4}", "3:23", "never counts"),
        ("wall_s: {warn: soon}", "3:12", "Seconds"),
    ],
)
def test_what_is_wrong_is_pointed_at(text: str, at: str, said: str) -> None:
    (problem,) = problems_of(f"version: 1\nlimits:\n  {text}\n")
    assert str(problem).startswith(f"{at}: ")
    assert said in str(problem)


def test_lengths_of_time_and_decimals_are_read_exactly() -> None:
    held = read_limits({"wall_s": {"hand_over": "30m"}, "cost_usd": {"stop": 0.1}})
    assert levels(held, wall_s="1799.999") == {}
    assert levels(held, wall_s="1800", cost_usd="0.1") == {
        "wall_s": "hand_over",
        "cost_usd": "stop",
    }


def test_every_metric_has_words_and_every_relative_one_a_fixed_amount() -> None:
    assert set(limit_words.LABELS) == set(METRICS)
    assert set(FIRST_RUNS) == {m.name for m in METRICS.values() if m.relative}


def test_a_bound_that_a_stronger_one_comes_before_is_not_said() -> None:
    held = effective(None, None, Budget(tool_calls=200))
    said = limit_words.beside("tool_calls", held, NO_HISTORY, None, None)
    assert said.startswith("warns at 150, stops at 200 (")
    assert "fixed until 5 earlier runs give a median, 0 so far" in said
    # Figures are compared, not their digits: an hour comes before three.
    assert limit_words.beside("wall_s", DEFAULTS, NO_HISTORY, None, None).startswith(
        "warns at 60 min, hands over at 3 h ("
    )
