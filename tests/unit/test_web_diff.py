"""Diffs on a page: rows where they are understood, plain text where not, bounded always."""

import re

import pytest

from handfast.server.web import diff
from handfast.server.web.diff import colour_command, parse_diff
from tests.large_diff import large_diff
from tests.web_fixtures import DIFF


def _added(lines: int, path: str = "big.py") -> str:
    body = "".join(f"+def f{i}(x: int) -> str: ...\n" for i in range(lines))
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1,{lines} @@\n{body}"
    )


def test_each_file_says_what_changed() -> None:
    view = parse_diff(DIFF)
    assert [(f.path, f.change, f.added, f.removed) for f in view.files] == [
        ("billing/invoice.py", "changed", 10, 3),
        ("tests/test_invoice.py", "new file", 9, 0),
        ("docs/rounding.png", "new file", 0, 0),
        ("scripts/check.sh", "renamed from scripts/check", 0, 0),
    ]
    assert view.files[2].notes == ("Binary: its content is not shown here.",)
    assert view.files[3].notes == ("Its mode changes from 100644 to 100755.",)
    assert view.unseen == ("docs/rounding.png: Binary: its content is not shown here.",)


def test_rows_carry_line_numbers_and_coloured_text() -> None:
    row = parse_diff(DIFF).files[0].hunks[0].rows[2]
    assert (row.kind, row.old, row.new) == ("add", "", "3")
    assert re.sub(r"<[^>]+>", "", str(row.html)) == "from collections.abc import Iterable"


def test_three_thousand_lines_are_shown() -> None:
    view = parse_diff(_added(3_000))
    assert sum(len(h.rows) for h in view.files[0].hunks) == 3_000
    assert not view.unseen


def test_too_many_lines_are_counted_and_said() -> None:
    (file,) = parse_diff(_added(5_000)).files
    assert file.hunks == ()
    assert file.notes == ("5,000 of its lines are not shown here: the file is too large.",)


def test_all_files_together_are_bounded() -> None:
    view = parse_diff("".join(_added(3_000, f"f{i}.py") for i in range(4)))
    assert [len(f.hunks) for f in view.files] == [1, 1, 0, 0]
    assert [f.unfolded for f in view.files] == [True, False, True, True]
    many = parse_diff("".join(_added(1, f"f{i}.txt") for i in range(diff.MAX_FILES + 5)))
    assert many.files[-1].notes == ("5 more changed files are not shown here.",)


def test_a_huge_text_is_not_parsed() -> None:
    view = parse_diff(_added(80_000))
    assert not view.files
    assert "too large" in view.problem


@pytest.mark.parametrize(
    "text",
    [
        "garbage",
        "@@ -1 +1 @@\n-a\n+b\n",
        "--- a/x\n+++ b/x\n@@ -1,9 +1,9 @@\n x\n",
        "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\nan extra line the parser would skip\n",
        "diff --git a/x b/x\nGIT binary patch\nliteral 3\nKc$$\n\n",
    ],
)
def test_what_is_no_diff_is_shown_plain(text: str) -> None:
    view = parse_diff(text)
    assert (view.files, view.plain) == ((), text)
    assert "plain text" in view.problem


def test_an_empty_diff_is_said() -> None:
    assert parse_diff("\n").problem == "The diff is empty: no file differs."


def test_code_in_a_diff_is_escaped_and_inert() -> None:
    text = "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\r\n+if x: # \u202e\u2066 <script>\x1b[1m'\n"
    rows = parse_diff(text).files[0].hunks[0].rows
    assert "\u2039U+000D\u203a" in rows[0].html
    shown = str(rows[1].html)
    assert "<script" not in shown
    assert '<span class="mark">' in shown
    assert "\u2039U+202E\u203a" in shown
    assert "\u2039U+001B\u203a" in shown


def test_line_ends_of_a_whole_file_are_one_note() -> None:
    (file,) = parse_diff("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\r\n+b\r\n").files
    assert file.notes == ("Its lines end in CR LF.",)
    assert [str(row.html) for row in file.hunks[0].rows] == ["a", "b"]


def test_a_long_line_is_cut_with_its_figures() -> None:
    (file,) = parse_diff(f"--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+{'y' * 5_000}\n").files
    assert "cut: 2,000 of 5,000 characters" in str(file.hunks[0].rows[0].html)


def test_a_command_keeps_every_character() -> None:
    command = 'rm -rf "$HOME" && <<EOF\n\n x  \nEOF\n'
    assert (
        re.sub(r"<[^>]+>", "", str(colour_command(command)))
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
        .replace("&quot;", '"')
        .replace("&#34;", '"')
        == command
    )


def test_a_large_change_is_coloured_only_at_its_beginning_and_shown_whole() -> None:
    view = parse_diff(large_diff(3_000))
    coloured = ["<span" in "".join(r.html for h in f.hunks for r in h.rows) for f in view.files]
    assert coloured == [True] * 6 + [False] * 24
    assert sum(len(h.rows) for f in view.files for h in f.hunks) == 3_000


def test_every_file_of_a_weighty_case_is_unfolded() -> None:
    folded = parse_diff(large_diff(3_000))
    assert [f.unfolded for f in folded.files].count(True) < 30
    assert all(f.unfolded for f in parse_diff(large_diff(3_000), open_all=True).files)
