"""The policies on the page about routing read, and its tables name every key."""

import re
from pathlib import Path

from handfast.core.domain.requirement import Silence
from handfast.core.policy.document import _REQUIRE
from handfast.core.policy.routes import KEYS
from handfast.policyfile.load import load

PAGE = (Path(__file__).parents[2] / "docs" / "routing.md").read_text(encoding="utf-8")


def _part(heading: str) -> str:
    return PAGE.partition(f"## `{heading}`")[2].partition("\n## ")[0]


def test_every_policy_on_the_page_reads() -> None:
    found = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    policies = [load(text).policy for text in found]
    assert [len(p.gates) for p in policies] == [1, 0]
    assert [len(level.to) for level in policies[1].routes[0].levels] == [1, 1, 1]


def test_every_key_and_value_has_a_row() -> None:
    for heading, names in (
        ("require", _REQUIRE),
        ("routes", KEYS),
        ("silence", [s.value for s in Silence]),
    ):
        for name in names:
            assert f"\n| `{name}` |" in _part(heading), (heading, name)
