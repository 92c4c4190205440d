"""The page about limits says what the code does."""

import re
from pathlib import Path

from handfast.core.domain.limit_facts import Level
from handfast.core.policy.limits import DEFAULTS, FIRST_RUNS, METRICS, Threshold
from handfast.policyfile.load import load

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")


def shown(threshold: Threshold, level: Level) -> str:
    """`2x_median`, `6`, or nothing."""
    found = [f"`{b.value}x_median`" if b.of_median else str(b.value) for b in threshold.at(level)]
    return " ".join(found)


def test_the_policy_on_the_page_is_one() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    limits = load(text).policy.limits
    assert limits.off == ("retries",)
    assert {name for name, _ in limits.thresholds} < set(METRICS)


def test_every_metric_has_a_row_with_its_defaults() -> None:
    for name in METRICS:
        threshold = DEFAULTS.of(name) or Threshold()
        first = FIRST_RUNS.get(name, {})
        relative = any(b.of_median for b in threshold.warn)
        amounts = f"{first[Level.WARN]} and {first[Level.HAND_OVER]}" if relative else ""
        cells = (shown(threshold, Level.WARN), shown(threshold, Level.HAND_OVER), amounts)
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` | "))
        assert tuple(cell.strip() for cell in row.split("|")[3:6]) == cells, row
