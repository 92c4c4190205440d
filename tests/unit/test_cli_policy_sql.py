"""SQL a line in, what the built-in policy would stop a line out: in order, and never a crash."""

import io
import json
import sys

import pytest

from handfast.cli.policy_facts import facts

LINES = [
    '"DROP TABLE users"',
    '"SELECT 1"',
    '"UPDATE t SET a = 1 WHERE id = 5"',
    '"SELECT wipe()"',
    "not json",
    "7",
    "",
    "[" * 100_000,
    '"\\ud800"',
    '"EXPLAIN ANALYZE DELETE FROM t"',
]


def test_one_object_a_line_in_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = "".join(line + "\n" for line in LINES).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert facts(sql=True) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["hazards"], each["opaque"]) for each in found] == [
        (["sql.destructive"], []),
        ([], []),
        ([], []),
        ([], ["unknown-function"]),
        ([], ["malformed"]),
        ([], ["malformed"]),
        ([], ["malformed"]),
        ([], ["malformed"]),
        ([], ["unread-statement"]),
        (["sql.destructive"], ["explain-analyze"]),
    ]
    assert [index for index, each in enumerate(found) if "error" in each] == [4, 5, 6, 7]
    assert "changes the rows of t a condition picks" in " ".join(found[2]["facts"])
