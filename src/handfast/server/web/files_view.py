"""The files of a change as a list with sums: those on the page, and those that are too large for it."""

from dataclasses import dataclass

from handfast.core.domain.diff_parts import DiffPart, in_pages, parts_of
from handfast.core.domain.inert import inert
from handfast.server.web.diff import MORE, DiffView, parse_diff
from handfast.server.web.reading import Record, mapping, number, records, text, texts

MAX_NAMES = 20_000


@dataclass(frozen=True, slots=True)
class FileRow:
    """`anchor` is where it stands on the page, '' where it does not. `counted`: its sums are known. `whole`: all of
    it is on the page."""

    path: str
    anchor: str = ""
    change: str = ""
    added: int = 0
    removed: int = 0
    counted: bool = True
    whole: bool = True


@dataclass(frozen=True, slots=True)
class FileList:
    rows: tuple[FileRow, ...] = ()

    @property
    def added(self) -> int:
        return sum(row.added for row in self.rows)

    @property
    def removed(self) -> int:
        return sum(row.removed for row in self.rows)

    @property
    def left_out(self) -> tuple[FileRow, ...]:
        return tuple(row for row in self.rows if not row.whole)


@dataclass(frozen=True, slots=True)
class WholeChange:
    """One page of a whole diff. `starts` are the files in the order of the diff, each with the page it begins on."""

    diff: DiffView
    number: int
    pages: int
    starts: tuple[tuple[FileRow, int], ...]


def files_of(package: Record, diff: DiffView | None) -> FileList:
    """Every file that the package names, whatever of it is shown."""
    review = texts(mapping(package, "review"), "files", MAX_NAMES)
    if diff is None and not review:
        return FileList()
    unshown = {
        text(item, "path"): FileRow(
            text(item, "path"),
            added=number(item, "added") or 0,
            removed=number(item, "removed") or 0,
            whole=False,
        )
        for item in records(package, "unshown", MAX_NAMES)
    }
    rows = {row.path: row for row in _shown(diff)} if diff else {}
    for path, row in unshown.items():
        at = rows.get(path, row)
        rows[path] = FileRow(path, at.anchor, at.change, row.added, row.removed, whole=False)
    if len(review) > len(rows):  # names that the diff lacks: of an older version, which cut it
        for path in review:
            rows.setdefault(path, FileRow(path, counted=False, whole=False))
    return FileList(tuple(rows.values()))


def whole_change(diff: str, wanted: int) -> WholeChange:
    """Page `wanted` of it, from 1; the nearest there is."""
    pages = in_pages(diff) or ("",)
    at = min(max(wanted, 1), len(pages))
    first: dict[str, int] = {}
    for page, held in enumerate(pages, 1):
        for part in parts_of(held):
            first.setdefault(part.path, page)
    starts = tuple((_row(part), first.get(part.path, 1)) for part in parts_of(diff) if part.path)
    return WholeChange(parse_diff(pages[at - 1], open_all=True), at, len(pages), starts)


def _shown(diff: DiffView) -> list[FileRow]:
    if diff.files:
        known = (file for file in diff.files if file.anchor != MORE)
        return [FileRow(f.path, f.anchor, f.change, f.added, f.removed) for f in known]
    return [_row(part) for part in parts_of(diff.plain) if part.path]


def _row(part: DiffPart) -> FileRow:
    path = inert(part.path, 400, multiline=False)
    return FileRow(path, "diff-h", "", part.added, part.removed)
