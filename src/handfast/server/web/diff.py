"""A unified diff as bounded, coloured rows.

Never raises for a bad patch: text that is not wholly understood is shown plain, because a line the
parser skips is a line the reviewer would approve unseen. Every line is inert before it is coloured.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.lexers.special import TextLexer
from pygments.util import ClassNotFound
from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk, PatchedFile, PatchSet

from handfast.core.domain.diff_parts import MAX_LINE
from handfast.core.domain.inert import inert

MAX_CHARS = 2_000_000
MAX_FILES = 300
MAX_ROWS_OF_FILE = 4_000
MAX_ROWS = 8_000
OPEN_ROWS = 600  # files are unfolded until this many rows are on the page
MORE = "file-more"
COLOUR_ROWS = 600  # as many as are unfolded: colouring is most of what a large change costs
COLOUR_LIMIT = 60_000  # characters of one side of a hunk; longer ones stay plain

_MARK = re.compile(
    "(\u2039U\\+[0-9A-F]{4,6}(?: \u00d7[0-9]+)?\u203a)"
)  # as core.domain.inert writes
_KNOWN_HEADERS = (
    "diff --git ", "index ", "old mode ", "new mode ", "new file mode ", "deleted file mode ",
    "similarity index ", "dissimilarity index ", "rename from ", "rename to ", "copy from ",
    "copy to ", "Binary files ", "--- ", "+++ ",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One line. `kind` is add, del, ctx or note; `html` is escaped and coloured."""

    kind: str
    old: str
    new: str
    html: Markup


@dataclass(frozen=True, slots=True)
class DiffHunk:
    """A run of lines under its `@@` heading."""

    head: str
    rows: tuple[DiffRow, ...]


@dataclass(frozen=True, slots=True)
class DiffFile:
    """One changed file. `notes` says what the rows do not show: binary, too long, mode, line ends."""

    anchor: str
    path: str
    change: str
    added: int
    removed: int
    notes: tuple[str, ...]
    hunks: tuple[DiffHunk, ...]
    unfolded: bool


@dataclass(frozen=True, slots=True)
class DiffView:
    """A whole diff. With a `problem`, `plain` holds the text and `files` is empty."""

    files: tuple[DiffFile, ...]
    added: int
    removed: int
    problem: str = ""
    plain: str = ""

    @property
    def unseen(self) -> tuple[str, ...]:
        """What of this diff is not on the page, one sentence each."""
        return tuple(
            f"{file.path}: {note}"
            for file in self.files
            for note in file.notes
            if "not shown" in note
        )


class _Spans(HtmlFormatter[str]):
    """Coloured spans only, without a surrounding block."""

    def wrap(self, source: object) -> object:
        return source


_SPANS = _Spans(nowrap=True)
_PLAIN = TextLexer(stripnl=False, ensurenl=False)


def parse_diff(text: str, *, open_all: bool = False) -> DiffView:
    """`text` (as `git diff` writes it) as rows; see the limits above. `open_all` unfolds every file."""
    if not text.strip():
        return DiffView((), 0, 0, problem="The diff is empty: no file differs.")
    if len(text) > MAX_CHARS:
        return _plain(text, f"The diff is too large for this page ({len(text):,} characters).")
    try:
        patch = PatchSet(text)
        lines = sum(_line_count(file) for file in patch)
    except (UnidiffParseError, ValueError, LookupError, TypeError, AttributeError) as error:
        return _plain(text, f"This text is not a well-formed diff ({error}).")
    if not patch or lines != len(text.removesuffix("\n").split("\n")):
        return _plain(text, "This text is not a well-formed diff: some lines belong to no file.")
    return _bounded(patch, MAX_ROWS if open_all else OPEN_ROWS)


def colour_command(command: str, limit: int = 20_000) -> Markup:
    """A shell command, inert, coloured when it is short enough."""
    lines = _coloured(inert(command, limit).split("\n"), get_lexer_by_name("bash", stripnl=False))
    return Markup("\n").join(lines)


def _plain(text: str, problem: str) -> DiffView:
    return DiffView((), 0, 0, problem=f"{problem} It is shown as plain text.", plain=text)


def _line_count(file: PatchedFile) -> int:
    """How many lines of the text this file accounts for."""
    heads = len(file.patch_info or ())
    sides = 2 if len(file) else 0
    return heads + sides + sum(1 + len(hunk) for hunk in file)


def _bounded(patch: PatchSet, open_left: int) -> DiffView:
    files: list[DiffFile] = []
    rows_left, colour_left = MAX_ROWS, COLOUR_ROWS
    for index, file in enumerate(patch[:MAX_FILES]):
        size = sum(len(hunk) for hunk in file)
        lexer = _lexer(file.path) if index == 0 or size <= colour_left else _PLAIN
        colour_left = max(0, colour_left - size)
        view = _file(file, f"file-{index + 1}", min(rows_left, MAX_ROWS_OF_FILE), lexer)
        rows = sum(len(hunk.rows) for hunk in view.hunks)
        files.append(replace(view, unfolded=index == 0 or rows <= open_left))
        rows_left -= rows
        open_left = max(0, open_left - rows)
    missing = len(patch) - len(files)
    if missing > 0:
        note = f"{missing:,} more changed files are not shown here."
        files.append(DiffFile(MORE, "More files", "not shown", 0, 0, (note,), (), unfolded=True))
    return DiffView(tuple(files), patch.added, patch.removed)


def _file(file: PatchedFile, anchor: str, rows_left: int, lexer: Lexer) -> DiffFile:
    info = [line.rstrip("\n") for line in file.patch_info or ()]
    notes = _header_notes(info)
    crlf = _all_crlf(file)
    if crlf:
        notes.append("Its lines end in CR LF.")
    hunks: list[DiffHunk] = []
    dropped = 0
    for hunk in file:
        if len(hunk) > rows_left:
            dropped += len(hunk)
            continue
        rows_left -= len(hunk)
        hunks.append(_hunk(hunk, lexer, crlf=crlf))
    if dropped:
        notes.append(f"{dropped:,} of its lines are not shown here: the file is too large.")
    return DiffFile(
        anchor=anchor,
        path=inert(file.path, 400, multiline=False),
        change=_change(file, info),
        added=file.added,
        removed=file.removed,
        notes=tuple(notes),
        hunks=tuple(hunks),
        unfolded=True,
    )


def _change(file: PatchedFile, info: Sequence[str]) -> str:
    if file.is_rename:
        origin = file.source_file or ""
        return f"renamed from {inert(origin.removeprefix('a/'), 400, multiline=False)}"
    if any(line.startswith("copy from ") for line in info):
        return "copied"
    if file.is_added_file:
        return "new file"
    if file.is_removed_file:
        return "deleted"
    return "changed" if len(file) else "changed without lines"


def _header_notes(info: Sequence[str]) -> list[str]:
    """What the extended header says that no row shows."""
    notes: list[str] = []
    modes = {line[:8]: line[9:] for line in info if line[:9] in ("old mode ", "new mode ")}
    if len(modes) == 2:
        notes.append(f"Its mode changes from {modes['old mode']} to {modes['new mode']}.")
    for line in info:
        if line.startswith("Binary files "):
            notes.append("Binary: its content is not shown here.")
        elif line.startswith(("new file mode 120000", "deleted file mode 120000")):
            notes.append("It is a symbolic link; the line is its target.")
        elif line.startswith("new file mode 100755"):
            notes.append("It is executable.")
        elif line.startswith("new file mode 160000") or line.endswith(" 160000"):
            notes.append("It is a submodule; its content is not shown here.")
    extra = [line for line in info if line and not line.startswith(_KNOWN_HEADERS)]
    if extra:
        shown = inert("\n".join(extra), 400)
        notes.append(f"Lines before it that are no diff: {shown}")
    return notes


def _all_crlf(file: PatchedFile) -> bool:
    values = [line.value for hunk in file for line in hunk if line.line_type != "\\"]
    return bool(values) and all(value.endswith(("\r\n", "\r")) for value in values)


def _hunk(hunk: Hunk, lexer: Lexer, *, crlf: bool) -> DiffHunk:
    """Each side is coloured as a whole, so that texts over several lines come out right."""
    lines = list(hunk)
    shown = [_line_text(line.value, crlf=crlf) for line in lines]
    old_at = [i for i, line in enumerate(lines) if line.line_type in " -"]
    new_at = [i for i, line in enumerate(lines) if line.line_type in " +"]
    html: dict[int, Markup] = {}
    for places in (old_at, new_at):  # the new side last: a context line takes its colours
        html.update(zip(places, _coloured([shown[i] for i in places], lexer), strict=True))
    kinds = {"+": "add", "-": "del", " ": "ctx"}
    rows = [
        DiffRow(
            kind=kinds.get(line.line_type, "note"),
            old=str(line.source_line_no or ""),
            new=str(line.target_line_no or ""),
            html=html.get(i, escape(shown[i].strip())),
        )
        for i, line in enumerate(lines)
    ]
    return DiffHunk(inert(str(hunk).split("\n", 1)[0], 300, multiline=False), tuple(rows))


def _line_text(value: str, *, crlf: bool) -> str:
    value = value.removesuffix("\n")
    if crlf:
        value = value.removesuffix("\r")
    return inert(value, MAX_LINE).replace("\n", " ")


def _lexer(path: str) -> Lexer:
    try:
        return get_lexer_for_filename(path, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return _PLAIN


def _coloured(lines: Sequence[str], lexer: Lexer) -> list[Markup]:
    """One coloured text a line; plain where the colouring would not give one row a line."""
    source = "\n".join(lines)
    coloured: list[str] = []
    if len(source) <= COLOUR_LIMIT and not isinstance(lexer, TextLexer):
        coloured = highlight(source, lexer, _SPANS).rstrip("\n").split("\n")
        coloured += [""] * (len(lines) - len(coloured))  # blank lines at the end are dropped above
    if len(coloured) != len(lines):
        return [_marked(line) for line in lines]
    return [
        _marked(line) if _MARK.search(line) else Markup(html)  # noqa: S704 - escaped by the formatter
        for line, html in zip(lines, coloured, strict=True)
    ]


def _marked(line: str) -> Markup:
    """A line without colours, in which what was hidden stands out."""
    return Markup("").join(
        Markup('<span class="mark">{}</span>').format(part) if at % 2 else escape(part)
        for at, part in enumerate(_MARK.split(line))
    )
