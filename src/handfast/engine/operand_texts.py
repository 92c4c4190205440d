"""The texts of the files that a call depends on, kept when it is asked about, so that a later change can be shown.

A text is believed only where it has the digest that the call names, which is what an approval is bound to. What is
kept holds no known secret; two texts are compared by what is kept of them.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Final, cast

from handfast.core.domain.action import Call
from handfast.core.domain.canonical import sha256
from handfast.core.domain.events_work import BodyRef
from handfast.engine.kernel import Kernel
from handfast.observe.operand_texts import MAX_BYTES, MAX_FILES
from handfast.observe.secrets import redact

MAX_DIFF: Final = 100_000  # characters
# Lines between the first and the last one that differ: more are shown as taken out and put in, not matched.
MAX_MATCHED: Final = 600
_CONTEXT = 3
_CUT = "\n\\ The rest is not shown."


def kept(call: Call, texts: Mapping[str, str]) -> dict[str, str]:
    """Of at most 8 files, by path, each at most 64 KB."""
    digests = {o.path: o.digest for o in call.operands}
    found = {
        path: redact(text)[0]
        for path, text in sorted(texts.items())
        if len(data := text.encode()) <= MAX_BYTES and digests.get(path) == sha256(data)
    }
    return dict(list(found.items())[:MAX_FILES])


def read_back(kernel: Kernel, ref: BodyRef | None) -> Mapping[str, str]:
    """Nothing where nothing was kept, or where it was erased."""
    found = kernel.vault.json(ref)
    return cast("Mapping[str, str]", found) if isinstance(found, dict) else {}


def difference(path: str, before: str, after: str) -> str:
    """As a unified diff of one file, at most 100,000 characters; '' where what is kept of both is the same."""
    old, new = before.split("\n"), after.split("\n")
    if old == new:
        return ""
    lines = [f"--- a/{path}", f"+++ b/{path}", *_hunks(old, new)]
    text = "\n".join(lines)
    return text if len(text) <= MAX_DIFF else text[: MAX_DIFF - len(_CUT)] + _CUT


def _hunks(old: Sequence[str], new: Sequence[str]) -> Sequence[str]:
    start = _alike(old, new)
    end = _alike(old[start:][::-1], new[start:][::-1])
    if max(len(old), len(new)) - start - end <= MAX_MATCHED:
        first, last = max(0, start - _CONTEXT), max(0, end - _CONTEXT)
        matched = difflib.unified_diff(
            old[first : len(old) - last], new[first : len(new) - last], lineterm="", n=_CONTEXT
        )
        return [_moved(line, first) for line in matched][2:]
    gone, come = old[start : len(old) - end], new[start : len(new) - end]
    head = f"@@ -{start + 1},{len(gone)} +{start + 1},{len(come)} @@"
    return [head, *(f"-{line}" for line in gone), *(f"+{line}" for line in come)]


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines the two have in common from the beginning."""
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )


def _moved(line: str, by: int) -> str:
    """A hunk's head with the numbers of the whole file."""
    if not line.startswith("@@ "):
        return line
    old, new = (part[1:] for part in line.split(" ")[1:3])
    return f"@@ -{_shifted(old, by)} +{_shifted(new, by)} @@"


def _shifted(numbers: str, by: int) -> str:
    first, comma, count = numbers.partition(",")
    return f"{int(first) + by}{comma}{count}"
