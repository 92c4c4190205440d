"""The list of what a call does, as it is named: its lines, and how many there are in all."""

import re
from typing import Final

from handfast.server.web.reading import Record, texts

MAX_DETAILS: Final = 500
_MORE: Final = re.compile(r"and (?:([0-9,]+) )?more, not listed")


def details_of(will: Record, command: str) -> tuple[str, ...]:
    """Without those that only say the command again, which stands above them in full."""
    said = f"`{command}`"
    found = texts(will, "details", MAX_DETAILS)
    return tuple(detail for detail in found if not (command and said in detail))


def in_all(will: Record) -> str:
    """How many things the details name, with those that the last one only counts."""
    found = texts(will, "details", MAX_DETAILS + 1)
    more = _MORE.fullmatch(found[-1]) if found else None
    if more is None:
        return f"more than {MAX_DETAILS}" if len(found) > MAX_DETAILS else f"{len(found)} in all"
    listed = len(found) - 1
    return (
        f"{listed + int(more[1].replace(',', '')):,} in all" if more[1] else f"more than {listed}"
    )
