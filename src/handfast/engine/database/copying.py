"""Backs a database up, restores a backup, moves a database: each proves that nothing was lost on the way.

A target is filled, read back, upgraded and checked as a whole before anything of it is committed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from handfast.core.audit.note import parse_checkpoint, parse_note, sign_checkpoint, signed_by
from handfast.core.audit.tree import Frontier, leaf_hash
from handfast.core.domain.errors import IntegrityError
from handfast.core.domain.faults import fault_point
from handfast.engine.database.backup_file import Backup, Manifest, Table, writing
from handfast.engine.database.check import check, log_verifier
from handfast.engine.database.report import Progress, Report, silent
from handfast.engine.database.rows import Tally, encoded
from handfast.engine.database.secrets import Secrets
from handfast.engine.keys import ed25519_verify
from handfast.storage.copies import Filling, Row, Shape, Snapshot

EVENT, PAGE = "event", 500
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Making:
    """What a backup says about itself. `keys` are put into it: name and content."""

    made_at: str
    version: str
    secrets: Secrets
    keys: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Copied:
    """What a database was filled with, and what the check of it found. `rows` by table."""

    size: int
    root: str
    rows: dict[str, int]
    report: Report


def back_up(view: Snapshot, path: Path, making: Making, told: Progress = silent) -> Manifest:
    """Write everything to one file. Servers may write meanwhile. Memory is bounded.

    Raises IntegrityError when the log is not that of its tree: such a backup would be refused.
    """
    tree = _Tree()
    tables: list[Table] = []
    with writing(path) as out:
        for shape in _events_first(view.shapes):
            rows: Iterable[Row] = view.rows(shape.name)
            if shape.name == EVENT:
                rows = tree.over(rows, shape)
            counted = _counted(map(encoded, rows), shape.name, view, told, "backup.page")
            tables.append(out.rows(shape, counted))
        tree.compare(view)
        for name, content in making.keys.items():
            out.key(name, content)
        manifest = Manifest(
            handfast=making.version,
            schema=view.schema,
            database=view.database,
            made_at=making.made_at,
            size=tree.frontier.size,
            root=tree.frontier.root().hex(),
            head=_signed(tree.frontier, making.secrets),
            verifier=log_verifier(view),
            tables=tuple(tables),
            counters=view.counters(),
            keys=tuple(making.keys),
            left_out=view.left_out,
        )
        out.finish(manifest)
    return manifest


def restore(backup: Backup, into: Filling, secrets: Secrets, told: Progress = silent) -> Copied:
    """Fill an empty database. Nothing is committed unless all of it is what was backed up.

    Raises IntegrityError naming what is wrong.
    """
    m = backup.manifest
    for table in m.tables:
        name = table.shape.name
        rows = _paced(backup.rows(table), name, table.rows, told, "restore.page")
        into.load(table.shape, rows)
    into.count_on(m.counters)
    _read_back(into.view(), {t.shape.name: t.digest for t in m.tables}, told)
    return _finish(into, secrets, told, _Promised(m.size, m.root, m.head), m.tables)


def move(view: Snapshot, into: Filling, secrets: Secrets, told: Progress = silent) -> Copied:
    """Copy a database that nobody writes to into an empty one. The source is only read.

    Raises IntegrityError naming what is wrong.
    """
    tree, tables = _Tree(), []
    for shape in _events_first(view.shapes):
        tally = Tally()
        rows: Iterable[Row] = tally.over(view.rows(shape.name))
        if shape.name == EVENT:
            rows = tree.over(rows, shape)
        into.load(shape, _counted(rows, shape.name, view, told, "restore.page"))
        tables.append(Table(shape, tally.rows, tally.bytes, tally.digest))
    tree.compare(view)
    into.count_on(view.counters())
    _read_back(into.view(), {t.shape.name: t.digest for t in tables}, told)
    promised = _Promised(tree.frontier.size, tree.frontier.root().hex())
    return _finish(into, secrets, told, promised, tables)


@dataclass(frozen=True, slots=True)
class _Promised:
    size: int
    root: str
    head: str = ""


def _finish(
    into: Filling, secrets: Secrets, told: Progress, promised: _Promised, tables: Iterable[Table]
) -> Copied:
    """Upgrade, check everything, and only then let it stand."""
    into.upgrade()
    report = check(into.view(), secrets, told)
    _head_fits(promised, secrets)
    if not report.ok:
        first = report.problems[0]
        more = sum(report.found.values()) - 1
        others = f", and {more} more" if more else ""
        raise _wrong(f"{first.part}: {first.what}{others}")
    if (report.size, report.root) != (promised.size, promised.root):
        raise _wrong(
            f"its tree has {report.size} entries and the root {report.root[:16]}…, and {promised.size} with "
            f"{promised.root[:16]}… were promised"
        )
    fault_point("restore.before_commit")
    into.commit()
    return Copied(report.size, report.root, {t.shape.name: t.rows for t in tables}, report)


def _head_fits(promised: _Promised, secrets: Secrets) -> None:
    if not promised.head:
        return
    note = parse_note(promised.head)
    said = parse_checkpoint(note.text)
    if (said.size, said.root.hex()) != (promised.size, promised.root):
        raise _wrong("its signed head is not that of its entries")
    if secrets.verifier and signed_by(note, [secrets.verifier], ed25519_verify) is None:
        raise _wrong("its head is not signed with the key in the data folder")


def _wrong(why: str) -> IntegrityError:
    return IntegrityError(
        f"the copy is refused: {why}",
        code="copy_refused",
        hint="Nothing was written. `handfast db check` on the database it was made of says more.",
    )


def _read_back(view: Snapshot, digests: dict[str, str], told: Progress) -> None:
    """Every table as it is stored now must be what was put in, row for row."""
    for shape in view.shapes:
        tally = Tally()
        total = view.count(shape.name)
        for _ in _paced(
            tally.over(view.rows(shape.name)), f"read back {shape.name}", total, told, ""
        ):
            pass
        if digests.get(shape.name, Tally().digest) != tally.digest:
            raise _wrong(f"the rows of `{shape.name}` are not stored as they were")


def _events_first(shapes: tuple[Shape, ...]) -> list[Shape]:
    return sorted(shapes, key=lambda shape: (shape.name != EVENT, shape.name))


def _counted(
    rows: Iterable[T], table: str, view: Snapshot, told: Progress, point: str
) -> Iterator[T]:
    return _paced(rows, table, view.count(table), told, point)


def _paced(rows: Iterable[T], what: str, of: int, told: Progress, point: str) -> Iterator[T]:
    """The rows, with progress told at every page."""
    number = 0
    for number, row in enumerate(rows, start=1):
        yield row
        if number % PAGE == 0:
            told(what, number, of)
            fault_point(point)
    told(what, number, of)
    fault_point(point)


class _Tree:
    """The tree over the entries that pass by."""

    def __init__(self) -> None:
        self.frontier = Frontier()

    def over(self, rows: Iterable[Row], shape: Shape) -> Iterator[Row]:
        """Raises IntegrityError for a gap, and for bytes that are not those of their leaf."""
        position, data, leaf = (shape.names.index(name) for name in ("position", "data", "leaf"))
        for row in rows:
            made = leaf_hash(bytes(row[data]))
            if row[position] != self.frontier.size + 1 or made != row[leaf]:
                raise IntegrityError(
                    f"entry {row[position]} is not what the tree was made of",
                    hint="`handfast db check` says what is wrong with this database.",
                )
            self.frontier, _ = self.frontier.extend([made])
            yield row

    def compare(self, view: Snapshot) -> None:
        """Raises IntegrityError when the stored tree is another."""
        stored = [bytes(row[0]) for row in view.rows("tree", ("frontier",))]
        if stored != [self.frontier.to_bytes()]:
            raise IntegrityError(
                "the stored tree is not that of the entries",
                hint="`handfast db check` says what is wrong with this database.",
            )


def _signed(frontier: Frontier, secrets: Secrets) -> str:
    key = secrets.signing
    if key is None:
        return ""
    name = key.verifier.name
    return sign_checkpoint(name, frontier.size, frontier.root(), key.verifier, key.sign)
