"""A unified diff taken apart at its files, so that none is cut in the middle and none disappears unsaid.

What a page and a terminal show at once is bounded: `fit` says what of a diff that is, and names the rest.
`in_pages` holds all of it. Only line feeds end a line here: a text can hold every other separator.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

MAX_CHARS = 200_000
MAX_LINES = 4_000
MAX_LINE = 2_000
MAX_FILES = 300
_FILE = re.compile(r"^diff --git ", re.MULTILINE)
_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class DiffPart:
    """One file of a diff, and all of its text. `path` is as the diff writes it, '' where it names none. `longest` is
    how many characters its longest line has."""

    path: str
    added: int
    removed: int
    lines: int
    longest: int
    text: str


@dataclass(frozen=True, slots=True)
class Fitted:
    """`text` is what is shown. Of the files in `unshown` nothing is in it, only the beginning of one, or a line that is
    longer than `MAX_LINE`, which every page cuts."""

    text: str
    unshown: tuple[DiffPart, ...] = ()


@dataclass(frozen=True, slots=True)
class _Hunk:
    """`old` and `new` are the numbers of its first lines, `tail` what stands behind them."""

    old: int
    new: int
    tail: str
    lines: Sequence[str]

    @property
    def text(self) -> str:
        old = sum(line[:1] not in ("+", "\\") for line in self.lines)
        new = sum(line[:1] not in ("-", "\\") for line in self.lines)
        return f"@@ -{self.old},{old} +{self.new},{new} @@{self.tail}{''.join(self.lines)}"

    def rest(self, taken: int) -> "_Hunk":
        gone = self.lines[:taken]
        old = self.old + sum(line[:1] not in ("+", "\\") for line in gone)
        new = self.new + sum(line[:1] not in ("-", "\\") for line in gone)
        return _Hunk(old, new, "\n", self.lines[taken:])


def parts_of(diff: str) -> tuple[DiffPart, ...]:
    """The files of a diff in its order. What stands before the first one is a part of its own."""
    starts = [found.start() for found in _FILE.finditer(diff)]
    edges = [*([] if starts[:1] == [0] else [0]), *starts, len(diff)]
    texts = (diff[a:b] for a, b in pairwise(edges))
    return tuple(_part(text) for text in texts if text)


def fit(diff: str) -> Fitted:
    """As many whole files as can be shown at once, the smallest first: a large one hides no other. Where not even
    the smallest can be, its beginning."""
    parts = parts_of(diff)
    chars = lines = 0
    kept: set[int] = set()
    for index in sorted(range(len(parts)), key=lambda i: len(parts[i].text)):
        part = parts[index]
        if not _fits(chars + len(part.text), lines + part.lines) or len(kept) == MAX_FILES:
            continue
        kept.add(index)
        chars, lines = chars + len(part.text), lines + part.lines
    left = tuple(p for i, p in enumerate(parts) if i not in kept or p.longest > MAX_LINE)
    if parts and not kept:
        smallest = min(left, key=lambda part: len(part.text))
        return Fitted(next(_pieces(smallest))[:MAX_CHARS], left)
    return Fitted("".join(part.text for index, part in enumerate(parts) if index in kept), left)


def in_pages(diff: str) -> tuple[str, ...]:
    """All of a diff, in its order, as texts that can each be shown: a file too large for one goes on in the next."""
    pages: list[str] = []
    now, chars, lines, files = [""], 0, 0, 0
    for part in parts_of(diff):
        for piece in _pieces(part):
            height = piece.count("\n")
            if not _fits(chars + len(piece), lines + height) or files == MAX_FILES:
                pages.append("".join(now))
                now, chars, lines, files = [], 0, 0, 0
            now.append(piece)
            chars, lines, files = chars + len(piece), lines + height, files + 1
    return tuple(page for page in (*pages, "".join(now)) if page)


def _fits(chars: int, lines: int) -> bool:
    return chars <= MAX_CHARS and lines <= MAX_LINES


def _part(text: str) -> DiffPart:
    lines = _lines(text)
    first = next((i for i, line in enumerate(lines) if line.startswith("@@ ")), len(lines))
    body = lines[first:]
    return DiffPart(
        path=_path(lines[:first]),
        added=sum(line.startswith("+") for line in body),
        removed=sum(line.startswith("-") for line in body),
        lines=len(lines),
        longest=max(map(len, lines)),
        text=text,
    )


def _lines(text: str) -> list[str]:
    return [f"{line}\n" for line in text.removesuffix("\n").split("\n")]


def _path(head: Sequence[str]) -> str:
    """The new name of the file; of a deleted one the old name."""
    said = [line.rstrip("\n") for line in head]
    for start in ("+++ ", "--- ", "rename to ", "copy to "):
        found = next((line.removeprefix(start) for line in said if line.startswith(start)), "")
        if found and found != "/dev/null":
            name = found.partition("\t")[0]
            return name[2:] if start[:3] in ("+++", "---") and name[1:2] == "/" else name
    both = said[0].removeprefix("diff --git ") if said and said[0].startswith("diff --git ") else ""
    return both[len(both) // 2 + 1 :].removeprefix("b/")  # `a/NAME b/NAME`: the same name twice


def _pieces(part: DiffPart) -> Iterator[str]:
    """The text of a file in as many well-formed diffs as it takes."""
    if _fits(len(part.text), part.lines):
        yield part.text
        return
    lines = _lines(part.text)
    first = next((i for i, line in enumerate(lines) if line.startswith("@@ ")), len(lines))
    if first == len(lines):  # no diff: plain lines
        yield from _plain_pieces(lines)
        return
    head = "".join(lines[:first])
    now, chars, height = "", len(head), first
    for hunk in _hunks(lines[first:]):
        left: _Hunk | None = hunk
        while left is not None:
            taken = _room(left, MAX_CHARS - chars, MAX_LINES - height)
            if not taken and now:
                yield head + now
                now, chars, height = "", len(head), first
                continue
            taken = taken or 1
            text = _Hunk(left.old, left.new, left.tail, left.lines[:taken]).text
            now, chars, height = now + text, chars + len(text), height + taken + 1
            left = left.rest(taken) if taken < len(left.lines) else None
    if now:
        yield head + now


def _plain_pieces(lines: Sequence[str]) -> Iterator[str]:
    now: list[str] = []
    chars = 0
    for line in lines:
        if now and not _fits(chars + len(line), len(now) + 1):
            yield "".join(now)
            now, chars = [], 0
        now.append(line)
        chars += len(line)
    yield "".join(now)


def _hunks(lines: Sequence[str]) -> Iterator[_Hunk]:
    starts = [i for i, line in enumerate(lines) if line.startswith("@@ ")]
    for a, b in zip(starts, [*starts[1:], len(lines)], strict=True):
        found = _HUNK.match(lines[a])
        old, new, tail = (int(found[1]), int(found[2]), found[3]) if found else (0, 0, "\n")
        yield _Hunk(old, new, tail, lines[a + 1 : b])


def _room(hunk: _Hunk, chars: int, height: int) -> int:
    """How many of its first lines have room. A mark of a missing line end stays with its line."""
    used, taken = len(hunk.tail) + 60, 0
    for line in hunk.lines[: max(0, height - 1)]:
        used += len(line)
        if used > chars:
            break
        taken += 1
    while 0 < taken < len(hunk.lines) and hunk.lines[taken].startswith("\\"):
        taken -= 1
    return taken
