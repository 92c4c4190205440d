"""SQL a line in, what the built-in policy would stop a line out: in order, and never a crash."""

import io
import json

from handfast.cli.policy_sql import run

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


def test_one_object_a_line_in_order() -> None:
    out = io.StringIO()
    assert run((line + "\n" for line in LINES), out) == 0
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(each["hazards"], each["opaque"]) for each in found] == [
        (["sql.destructive"], []),
        ([], []),
        ([], []),
        ([], ["unknown-function"]),
        ([], ["bad-line"]),
        ([], ["bad-line"]),
        ([], ["bad-line"]),
        ([], ["bad-line"]),
        ([], ["unread-statement"]),
        (["sql.destructive"], ["explain-analyze"]),
    ]
    assert [index for index, each in enumerate(found) if "error" in each] == [4, 5, 6, 7]
    assert "changes the rows of t a condition picks" in " ".join(found[2]["facts"])
