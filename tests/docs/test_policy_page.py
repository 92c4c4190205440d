"""The page about the built-in policy says what the table says."""

from pathlib import Path

from handfast.core.policy.builtin import RULES

PAGE = Path(__file__).parents[2] / "docs" / "policy.md"
SAYS = {"allow": "allowed", "gate": "a person", "deny": "denied always"}


def test_every_rule_has_its_row() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for rule in RULES:
        hazards = ", ".join(f"`{h}`" for h in rule.hazards)
        row = f"| {hazards} | {SAYS[rule.verdict.value]} | {rule.risk.value} |"
        assert row in page, row
