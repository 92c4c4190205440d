"""The page about policy files: its policy loads, its examples hold, and every field of a condition is in its table."""

import re
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

from handfast.cli.policy_try import examples_hold
from handfast.core.policy.subject import Subject
from handfast.policyfile.load import check

PAGE = (Path(__file__).parents[2] / "docs" / "policy-files.md").read_text(encoding="utf-8")
POLICY, EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_policy_of_the_page_loads_and_its_examples_hold(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "policy.examples.yaml").write_text(EXAMPLES)
    assert check(POLICY) == []
    assert examples_hold(tmp_path / "policy.yaml") == 0


def test_every_field_has_its_row() -> None:
    for part in fields(Subject):
        for name in get_type_hints(get_type_hints(Subject)[part.name]):
            assert f"`{part.name}.{name}`" in PAGE, f"{part.name}.{name}"
