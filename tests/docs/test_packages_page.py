"""The page about packages says of each command what the code makes of it."""

import re
from pathlib import Path

import pytest

from handfast.core.domain.claim_words import CheckKind
from handfast.core.domain.claims import FAILED, OUTDATED, RECORDED, UNVERIFIED
from handfast.core.domain.completeness import MAX_RETURNS
from handfast.engine.evidence import MAX_EVENTS
from handfast.observe.checks import parts_of

PAGE = (Path(__file__).parents[2] / "docs" / "packages.md").read_text(encoding="utf-8")
ROWS = [
    (command.replace("\\|", "|"), says)
    for command, says in re.findall(r"^\| `(.+?)` \| (.+?) \|$", PAGE, re.MULTILINE)
    if says.startswith(("its own", "both", "nothing"))
]


@pytest.mark.parametrize(("command", "says"), ROWS)
def test_a_command_shows_what_the_table_says(command: str, says: str) -> None:
    decides = [k for p in parts_of(command, "/repo") if p.decides for k in p.kinds]
    wanted = {"its own": [CheckKind.TESTS], "both": [CheckKind.LINT, CheckKind.TESTS]}
    assert decides == wanted.get(re.split(" result|, when|:", says)[0], [])


def test_the_table_is_there_and_so_are_the_figures() -> None:
    assert len(ROWS) >= 9
    for status in (RECORDED, FAILED, OUTDATED, UNVERIFIED):
        assert f"| `{status}` |" in PAGE
    assert f"After {MAX_RETURNS} returns in a run" in PAGE
    assert f"more than {MAX_EVENTS:,} events back" in PAGE
