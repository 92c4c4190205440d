"""Text of an untrusted author, made safe to show on a page, a terminal or a log line.

Nothing is dropped silently: a character a reader would not see, or that would change how its
neighbours are shown, appears as its code point in angle quotes.
"""

import re

# Printable by Unicode, invisible on a screen: fillers, joiners, the blank Braille cell, vowels that
# have no glyph, and the two blocks of variation selectors.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))

_SUSPECT = re.compile(r"([^\x20-\x7e])\1*")
_OPEN, _CLOSE, _TIMES = "\u2039", "\u203a", "\u00d7"
_SHOWN_RUN = 3  # equal hidden characters written one by one before they are counted instead


def is_hidden(char: str) -> bool:
    """Whether a reader could miss this character or be misled by it.

    Controls, formats (bidi, zero-width), surrogates, unassigned code points and every space but the
    plain one, as `str.isprintable` defines them, and the blank characters it counts as printable.
    """
    return (
        not char.isprintable() or char in _BLANK or any(ord(char) in block for block in _SELECTORS)
    )


def inert(text: str, limit: int = 20_000, *, multiline: bool = True) -> str:
    """`text` with every hidden character written out, and cut after `limit` characters.

    A mark is the code point in single angle quotes. Line feeds and tabs stay when `multiline`; otherwise
    they are written out too. A carriage return is always written out: on a terminal it lets later text
    cover earlier text. More than three equal hidden characters in a row become one mark with their
    number. A cut says how much is missing. The answer holds at most 10 times `limit` plus 60 characters
    and always encodes as UTF-8.
    """
    kept = "\n\t" if multiline else ""

    def mark(match: re.Match[str]) -> str:
        run, char = match.group(0), match.group(1)
        if char in kept or not is_hidden(char):
            return run
        if len(run) > _SHOWN_RUN:
            return f"{_OPEN}U+{ord(char):04X} {_TIMES}{len(run)}{_CLOSE}"
        return f"{_OPEN}U+{ord(char):04X}{_CLOSE}" * len(run)

    gap = "\n" if multiline else " "
    shown = _SUSPECT.sub(mark, text[:limit])
    if len(text) > limit:
        shown += f"{gap}… cut: {limit:,} of {len(text):,} characters shown"
    return shown
