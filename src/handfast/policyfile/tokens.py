"""A condition cut into tokens and into the parts that its operators join.

Only as much of the language is read as is needed to tell plain forms for certain. A text with prefixed or
triple-quoted strings, comments or anything else that is not listed here has no tokens at all.
"""

import re
from collections.abc import Sequence
from typing import TypeAlias

Tokens: TypeAlias = tuple[str, ...]

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"(?:[^"\\\r\n]|\\.)*"|'(?:[^'\\\r\n]|\\.)*')
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | \d+\.\d+(?![\w.]) | \d+(?![\w.])
    | && | \|\| | [=!<>]= | [!<>()\[\]{},.?:+*%-] | /(?!/)
    )""",
    re.VERBOSE | re.ASCII,
)
_OPENS, _CLOSES = frozenset("([{"), frozenset(")]}")


def tokens(condition: str) -> Tokens | None:
    """The tokens of a text, or None for one that holds something else."""
    text = condition.strip(" \t\r\n")
    found: list[str] = []
    end, quoted_before = 0, False
    while end < len(text):
        token = _TOKEN.match(text, end)
        if token is None:
            return None
        if token["text"] and (quoted_before or _prefixed(text, token.start("text"))):
            return None
        quoted_before = bool(token["text"])
        found.append(token[0].lstrip())
        end = token.end()
    return tuple(found)


def _prefixed(text: str, start: int) -> bool:
    """`r"…"` is another string than it looks; so are quotes that stand side by side."""
    return start > 0 and (text[start - 1].isalnum() or text[start - 1] in "_\"'")


def split(parts: Sequence[str], operator: str) -> list[Tokens] | None:
    """What `operator` joins outside all brackets. None when brackets do not match."""
    found: list[Tokens] = []
    depth, start = 0, 0
    for i, token in enumerate(parts):
        if token in _OPENS:
            depth += 1
        elif token in _CLOSES:
            depth -= 1
        elif depth == 0 and token == operator:
            found.append(tuple(parts[start:i]))
            start = i + 1
        if depth < 0:
            return None
    return [*found, tuple(parts[start:])] if depth == 0 else None


def outside(parts: Sequence[str]) -> Tokens:
    """The tokens outside all brackets, without the brackets. They must match."""
    depth, found = 0, []
    for token in parts:
        if token in _OPENS:
            depth += 1
        elif token in _CLOSES:
            depth -= 1
        elif depth == 0:
            found.append(token)
    return tuple(found)


def enclosed(parts: Tokens) -> Tokens | None:
    """What one pair of round brackets encloses, where it encloses all of `parts`."""
    if len(parts) < 3 or parts[0] != "(":
        return None
    depth = 0
    for i, part in enumerate(parts):
        depth += (part in _OPENS) - (part in _CLOSES)
        if depth == 0:
            return parts[1:-1] if part == ")" and i == len(parts) - 1 else None
    return None
