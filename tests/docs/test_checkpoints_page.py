"""The page about checkpoints: its policy reads, its defaults and figures are those of the product."""

import re
from pathlib import Path

from handfast.core.domain.events_checkpoint import Why
from handfast.core.policy.interruption_section import _KEYS, Budget
from handfast.policyfile.load import check, load
from tests.unit.test_improvement_loop import LOOP

PAGE = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text(encoding="utf-8")
(POLICY,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_policy_of_the_page_reads_and_shows_the_defaults() -> None:
    assert check(POLICY) == []
    budget = load(POLICY).policy.interruptions
    assert budget is not None
    plain = Budget(cost_mils=20_000, urgent=budget.urgent)
    assert budget == plain


def test_every_key_and_reason_has_a_row() -> None:
    for name in (*_KEYS, *(why.value for why in Why)):
        assert f"\n| `{name}` |" in PAGE, name


def test_the_loop_of_the_page_is_the_one_that_is_played() -> None:
    rows = re.findall(r"^\| (\d+) \| ", PAGE, re.MULTILINE)
    assert [int(minute) for minute in rows] == [step.at for step in LOOP]
