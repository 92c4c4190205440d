"""Each thing that a call touches, and how many there are in all: also those that are only counted."""

import re

from handfast.server.web.reading import Record, texts

MAX_DETAILS = 500
_MORE = re.compile(r"and (?:([0-9,]+) )?more, not listed")


def details_of(will: Record, command: str) -> tuple[tuple[str, ...], str]:
    """The list, without those that only say the command again, which stands above them in full; and its number."""
    said = f"`{command}`"
    known = texts(will, "details", MAX_DETAILS + 1)
    found = tuple(detail for detail in known if not (command and said in detail))
    return found[:MAX_DETAILS], _in_all(found, cut=len(known) > MAX_DETAILS)


def _in_all(found: tuple[str, ...], *, cut: bool) -> str:
    more = _MORE.fullmatch(found[-1]) if found else None
    if more is None:
        return f"more than {MAX_DETAILS}" if cut else f"{len(found)} in all"
    listed = len(found) - 1
    if not more[1]:
        return f"more than {listed}"
    return f"{listed + int(more[1].replace(',', '')):,} in all"
