"""Text of an untrusted author stays text: see handfast.core.domain.inert."""

import pytest

from handfast.core.domain.inert import inert


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, é, א, 日本, 👍", "plain text, é, א, 日本, 👍"),
        ("\x1b[32mok", "\u2039U+001B\u203a[32mok"),
        ("a\u202eb\u202c", "a\u2039U+202E\u203ab\u2039U+202C\u203a"),
        ("x\u200b\u200dy", "x\u2039U+200B\u203a\u2039U+200D\u203ay"),
        ("\u200b" * 500, "\u2039U+200B \u00d7500\u203a"),
        ("a\rb\r\n", "a\u2039U+000D\u203ab\u2039U+000D\u203a\n"),
        ("non\u00a0breaking\u3000space", "non\u2039U+00A0\u203abreaking\u2039U+3000\u203aspace"),
        ("\ud800", "\u2039U+D800\u203a"),
        ("tag\U000e0041", "tag\u2039U+E0041\u203a"),
        ("a\ufe0fb\u3164c\u115f", "a\u2039U+FE0F\u203ab\u2039U+3164\u203ac\u2039U+115F\u203a"),
        ("line\u2028line\x85line", "line\u2039U+2028\u203aline\u2039U+0085\u203aline"),
        ("a\n\tb", "a\n\tb"),
    ],
)  # fmt: skip
def test_hidden_characters_are_written_out(text: str, shown: str) -> None:
    assert inert(text) == shown


def test_one_line_writes_line_feeds_out() -> None:
    assert inert("a\nb\tc", multiline=False) == "a\u2039U+000A\u203ab\u2039U+0009\u203ac"


def test_a_cut_is_stated_with_both_figures() -> None:
    assert inert("x" * 45_210) == "x" * 20_000 + "\n… cut: 20,000 of 45,210 characters shown"
    assert inert("abcdef", 3, multiline=False) == "abc … cut: 3 of 6 characters shown"
