"""The sections about scope, kinds of actions and carry-over: read, and refused with a place and a remedy."""

import pytest

from handfast.core.domain.grant_scope import Scope, Span
from handfast.policyfile.load import check, load

GATE = "version: 1\ngates:\n  - id: a\n    when: call.tool == 'x'\n    require: "
KIND = "version: 1\nactions:\n  - id: a\n    when: call.tool == 'x'\n    "


def test_a_scope_is_read() -> None:
    loaded = load(GATE + "{scope: {times: 5, for: task, within: 2h}}\n")
    assert loaded.policy.gates[0].require.scope == Scope(5, Span.TASK, 7200)
    assert load(GATE + "{}\n").policy.gates[0].require.scope == Scope()


def test_kinds_are_read() -> None:
    (kind,) = load(KIND + "preview: [a, b]\n    reversible: false\n").policy.actions
    assert (kind.preview, kind.reversible, kind.loosens) == (("a", "b"), False, False)


def test_nothing_said_is_not_an_empty_list() -> None:
    assert load("version: 1\n").policy.carry_over is None
    assert load("version: 1\ncarry_over: []\n").policy.carry_over == ()


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        (GATE + "{scope: {times: 0}}\n", (5, 23), "times"),
        (GATE + "{scope: {times: 101}}\n", (5, 23), "times"),
        (GATE + "{scope: {for: ever}}\n", (5, 23), "ever"),
        (GATE + "{scope: {until: 2h}}\n", (5, 23), "until"),
        (GATE + "{scope: {times: 2}}\n    risk: critical\n", (5, 23), "critical"),
        (KIND + "preview: terraform plan\n", (5, 5), "list of words"),
        (KIND + "reversible: maybe\n", (5, 5), "true or false"),
        (KIND + "tools: [x]\n", (3, 5), "says nothing"),
        (KIND + "reprieve: [x]\n", (5, 5), "unknown"),
        ("version: 1\nactions:\n  - id: a\n    when: call.toool == 'x'\n    undo: [a]\n", (4, 15), "toool"),
        ("version: 1\ncarry_over: [everything]\n", (2, 14), "everything"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_shown_where_it_stands(
    text: str, place: tuple[int, int], said: str
) -> None:
    (problem,) = check(text)
    assert (problem.line, problem.column) == place
    assert said in str(problem)
