"""What differs between two texts, line by line, as git writes it. Lines end at a line feed and nowhere else."""

import re
from difflib import SequenceMatcher, unified_diff

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
# Of two texts whose lines are compared pair by pair; above it they are taken as wholly different.
_COMPARED = 4_000_000
_NO_END = "\n\\ No newline at end of file\n"


def text_diff(path: str, before: str, after: str) -> str:
    """A unified diff; '' where nothing differs. `path` must be plain: it stands in the head as it is."""
    if before == after:
        return ""
    old, new = lines_of(before), lines_of(after)
    head = [f"--- a/{path}\n", f"+++ b/{path}\n"]
    if len(old) * len(new) > _COMPARED:
        body = [
            f"@@ -{_span(old)} +{_span(new)} @@\n",
            *(f"-{x}" for x in old),
            *(f"+{x}" for x in new),
        ]
    else:
        body = list(unified_diff(old, new))[2:]
    return "".join(line if line.endswith("\n") else line + _NO_END for line in (*head, *body))


def changed_counts(before: str, after: str) -> tuple[int, int]:
    """How many lines were added and deleted."""
    old, new = lines_of(before), lines_of(after)
    if len(old) * len(new) > _COMPARED:
        return len(new), len(old)
    added = deleted = 0
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new).get_opcodes():
        if tag != "equal":
            deleted, added = deleted + i2 - i1, added + j2 - j1
    return added, deleted


def lines_of(text: str) -> list[str]:
    """With their ends."""
    return _LINE.findall(text)


def _span(lines: list[str]) -> str:
    return f"1,{len(lines)}" if lines else "0,0"
