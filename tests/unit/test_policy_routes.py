"""`routes`, `levels` and `separate` in a policy file: read, and wrong with a line and a column."""

import pytest

from handfast.core.domain.action import Risk
from handfast.core.domain.errors import UsageError
from handfast.core.domain.requirement import Asking, Clause, Level, Requirement, askings
from handfast.core.policy.document import requirement
from handfast.core.policy.routes import Route
from handfast.policyfile.load import load

FACTS = {
    "risk": ("high",),
    "kind": ("approval",),
    "rules": ("push", "own"),
    "repository": ("/srv/pay",),
    "tool": ("Bash",),
}


def _routes(text: str) -> tuple[Route, ...]:
    return load(f"version: 1\nroutes:\n{text}\n").policy.routes


def test_levels_are_read_in_order() -> None:
    (route,) = _routes(
        "  - {risk: [critical], levels: [{to: [role:admin, person:ann], ack_within: 10m, repeat: 2}, {to: reviewers}]}"
    )
    assert route.levels == (Level(("person:ann", "role:admin"), 600, 2), Level(("reviewers",)))


@pytest.mark.parametrize(
    ("keys", "applies"),
    [
        ("", True),
        ("risk: [high, critical], ", True),
        ("risk: low, ", False),
        ("kind: [approval], rules: [push], ", True),
        ("rules: [other], ", False),
        ("repository: /srv/pay, tool: [Bash, Write], ", True),
        ("repository: /srv/other, ", False),
    ],
)
def test_a_route_applies_when_every_key_does(keys: str, applies: bool) -> None:
    (route,) = _routes(f"  - {{{keys}levels: [{{to: reviewers}}]}}")
    assert route.applies(FACTS) is applies


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("  - {risk: [huge], levels: [{to: reviewers}]}", 3, "huge"),
        ("  - {kind: [nap], levels: [{to: reviewers}]}", 3, "nap"),
        ("  - {risk: [low]}", 3, "needs `levels`"),
        ("  - levels: []", 3, "0 entries"),
        (
            "  - levels:\n    - {to: reviewers}\n    - {to: role:admin}",
            4,
            "`ack_within` is missing",
        ),
        ("  - levels:\n    - {to: somebody}", 4, "nobody who can be asked"),
        ("  - levels:\n    - {to: reviewers, ack_within: soon}", 4, "soon"),
        ("  - levels:\n    - {to: reviewers, ack_within: 1m, repeat: 99}", 4, "99"),
        (
            "  - {match: 'risk == \"high\"', levels: [{to: reviewers}]}",
            3,
            "`routes[0].match` is unknown",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        _routes(text)
    assert says in str(refused.value)
    assert str(refused.value).startswith(f"{line}:")


@pytest.mark.parametrize(
    ("require", "separate"),
    [
        ({}, False),
        ({"approvals": 1}, False),
        ({"approvals": 2}, True),
        ({"from": "team:dba"}, True),
        ({"from": "team:dba", "separate": False}, False),
        ({"separate": True}, True),
    ],
)
def test_duties_are_separated_by_default_where_it_takes_more_than_anybody(
    require: dict[str, object], separate: bool
) -> None:
    found = requirement(require, ("require",), Risk.MEDIUM)
    assert [c.separate for c in found.clauses] == [separate]


def test_the_times_of_the_levels_add_up_to_the_whole() -> None:
    levels = (Level(("a",), 600), Level(("b",), 1200, 2), Level(("c",)))
    planned = askings(Requirement(levels=levels), 7200)
    assert planned == (
        Asking(("a",), 600, 0),
        Asking(("b",), 1200, 1),
        Asking(("b",), 1200, 2),
        Asking(("c",), 4200, 3),
    )
    cut = askings(Requirement(levels=levels), 1000)
    assert cut == (Asking(("a",), 600, 0), Asking(("b",), 400, 1))
    assert askings(Requirement((Clause(1, ("team:x",)),)), 60) == (Asking(("team:x",), 60),)
