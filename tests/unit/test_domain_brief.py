"""Briefs as people write them: what is taken, what is refused, and that the refusal names the field."""

import math

import pytest

from handfast.core.domain.action import Risk
from handfast.core.domain.brief import MAX_TEXT, Brief, Budget, Scope, parse_brief
from handfast.core.domain.errors import UsageError


def test_a_whole_brief() -> None:
    brief = parse_brief(
        {
            "intent": "  Customers see the wrong total. ",
            "acceptance": ["the total includes VAT", " tests pass "],
            "non_goals": ("no new dependency",),
            "scope": {"paths": ["billing/**"], "tools": ["Bash"], "environments": ["dev"]},
            "budget": {"cost_usd": "2.50", "tool_calls": 40, "retries": 0, "wall_s": 600},
            "risk": "high",
            "contacts": ["ana"],
            "context": ["ticket 12"],
        }
    )
    assert brief == Brief(
        "Customers see the wrong total.",
        ("the total includes VAT", "tests pass"),
        ("no new dependency",),
        Scope(("billing/**",), ("Bash",), ("dev",)),
        Budget("2.50", 40, 0, 0, 600),
        Risk.HIGH,
        ("ana",),
        ("ticket 12",),
    )


def test_an_intent_is_enough() -> None:
    assert parse_brief({"intent": "Fix it"}) == Brief("Fix it")
    assert parse_brief({"intent": "Fix it", "scope": None, "budget": None, "contacts": None}) == (
        Brief("Fix it")
    )


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (None, "brief"),
        ([], "brief"),
        ("text", "brief"),
        ({1: 2}, "brief"),
        ({}, "intent"),
        ({"intent": " "}, "intent"),
        ({"intent": 5}, "intent"),
        ({"intent": "x" * (MAX_TEXT + 1)}, "intent"),
        ({"intent": "x", "prio": 1}, "prio"),
        ({"intent": "x", "risk": "extreme"}, "risk"),
        ({"intent": "x", "risk": ["low"]}, "risk"),
        ({"intent": "x", "acceptance": "one"}, "acceptance"),
        ({"intent": "x", "acceptance": ["a", ""]}, "acceptance"),
        ({"intent": "x", "acceptance": ["a", 1]}, "acceptance"),
        ({"intent": "x", "acceptance": ["a"] * 101}, "acceptance"),
        ({"intent": "x", "context": ["x" * (MAX_TEXT + 1)]}, "context"),
        ({"intent": "x", "scope": ["a"]}, "scope"),
        ({"intent": "x", "scope": {"path": ["a"]}}, "scope.path"),
        ({"intent": "x", "scope": {"paths": "a"}}, "scope.paths"),
        ({"intent": "x", "budget": 5}, "budget"),
        ({"intent": "x", "budget": {"euros": 5}}, "budget.euros"),
        ({"intent": "x", "budget": {"retries": -1}}, "budget.retries"),
        ({"intent": "x", "budget": {"retries": 1.5}}, "budget.retries"),
        ({"intent": "x", "budget": {"retries": True}}, "budget.retries"),
        ({"intent": "x", "budget": {"retries": None}}, "budget.retries"),
    ],
)
def test_a_wrong_brief_is_refused_by_field(data: object, field: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_brief(data)
    assert f"`{field}`" in caught.value.message


@pytest.mark.parametrize(
    "cost",
    [
        -1,
        "-1",
        "1,50",
        "1e3",
        1e30,
        math.nan,
        math.inf,
        "\u00b2",
        "\u0665",
        ".",
        "5.",
        "1.2.3",
        True,
        [1],
        "1\n",
    ],
    ids=repr,
)
def test_a_cost_that_is_no_amount_is_refused(cost: object) -> None:
    with pytest.raises(UsageError, match=r"budget\.cost_usd"):
        parse_brief({"intent": "x", "budget": {"cost_usd": cost}})


@pytest.mark.parametrize(
    ("cost", "text"), [(5, "5"), (2.5, "2.5"), ("0.000001", "0.000001"), (None, "")]
)
def test_amounts_stay_as_written(cost: object, text: str) -> None:
    assert parse_brief({"intent": "x", "budget": {"cost_usd": cost}}).budget.cost_usd == text
