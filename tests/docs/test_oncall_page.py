"""The policy on the page about who is asked loads as it stands there."""

import re
from pathlib import Path

from handfast.core.policy.directory import READERS, Roster
from handfast.policyfile.load import load

PAGE = Path(__file__).parents[2] / "docs" / "oncall.md"


def test_the_policy_shown_loads_and_shows_every_section() -> None:
    page = PAGE.read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    roster = load(text, known=Roster()).policy.roster
    assert set(roster.hours) == {"ann", "bob"}
    assert set(roster.rotations) == {"payments", "nights"}
    assert all(f"\n{name}:" in text for name in READERS)
