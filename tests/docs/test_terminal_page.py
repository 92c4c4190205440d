"""The pages about the terminal inbox and about taking over say what the program does."""

import re
from pathlib import Path

from handfast.cli.screen.app import KEYS
from handfast.core.domain.events_takeover import Following
from handfast.runner.supervisor.handed_back import MAX_DIFF_BYTES

DOCS = Path(__file__).parents[2] / "docs"


def test_every_key_of_the_full_screen_inbox_is_on_its_page() -> None:
    rows = re.findall(r"^\| (.+?) \| .+\|$", (DOCS / "terminal.md").read_text(), re.MULTILINE)
    shown = [re.sub(r"[`]", "", row) for row in rows if row not in ("key", "---")]
    assert shown == [key for key, _ in KEYS]


def test_what_follows_a_hand_back_is_on_its_page() -> None:
    page = (DOCS / "takeover.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == [f.value for f in Following]
    assert f"up to {MAX_DIFF_BYTES:,} bytes" in page
