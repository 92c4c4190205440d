"""Every policy on the page about binding is one that can be published, and its command line is taken."""

import re
from pathlib import Path

import pytest

from handfast.cli.entry import build
from handfast.core.policy.carrying import CarryOver
from handfast.policyfile.load import check, load

PAGE = (Path(__file__).parents[2] / "docs" / "binding.md").read_text(encoding="utf-8")
POLICIES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_shows_policies() -> None:
    assert len(POLICIES) == 3


@pytest.mark.parametrize("text", POLICIES)
def test_a_policy_on_the_page_has_no_problem(text: str) -> None:
    assert check(text) == []
    assert load(text).policy.gates or load(text).policy.actions or load(text).policy.carry_over


def test_every_kind_of_carry_over_is_explained() -> None:
    for kind in CarryOver:
        assert f"| `{kind.value}` |" in PAGE


def test_the_command_on_the_page_is_taken() -> None:
    app = build()["handoff"]["approve"]
    command, bound, _ = app.parse_args(
        ["ho_1", "--times", "3", "--for", "run", "--until", "2h"], print_error=False, exit_on_error=False
    )  # fmt: skip
    assert command.__name__ == "approve"
    assert bound.arguments["times"] == 3
    assert (bound.arguments["for_"], bound.arguments["until"]) == ("run", "2h")
