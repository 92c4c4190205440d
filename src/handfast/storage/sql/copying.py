"""`handfast.storage.copies` on SQLite and PostgreSQL: reads of one moment, and databases filled at once."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

from handfast.core.domain.errors import (
    IntegrityError,
    InvalidTransition,
    SchemaVersion,
    StorageError,
    Unavailable,
)
from handfast.storage.copies import ColumnKind, Row, Shape
from handfast.storage.sql import schema as s
from handfast.storage.sql.addresses import shown
from handfast.storage.sql.connect import (
    APPLICATION,
    Connection,
    Database,
    begin_write,
    open_database,
    sqlite_path,
    translated,
)
from handfast.storage.sql.migrate import (
    SHIPPED,
    Migration,
    Revisions,
    make_room,
    migration,
    version_of,
)
from handfast.storage.sql.reflection import VERSION_TABLE, Found, tables
from handfast.storage.sql.schema_check import differences, reading, tables_at

PAGE_BYTES = 2_000_000
# No more rows at once, whatever the last ones weighed: a body has up to 32 MiB, an entry 64 KiB.
MOST, MOST_WITH_BYTES, MOST_BODIES = 2_000, 200, 4
_CURSORS = itertools.count(1)


class SqlSnapshot:
    """`copies.Snapshot` over a connection that is in a transaction."""

    def __init__(self, db: Database, c: Connection, revisions: Revisions = SHIPPED) -> None:
        self._db, self._c = db, c
        self.database = db.name
        self.schema = version_of(db, c) or ""
        if not self.schema:
            raise StorageError(
                f"`{shown(db.url)}` is empty", hint="Check HANDFAST_DATABASE_URL and HANDFAST_HOME."
            )
        if self.schema > revisions.head:
            raise SchemaVersion(
                f"the database has schema {self.schema}, this version of Handfast knows up to {revisions.head}",
                hint="Use the Handfast that wrote it, or a newer one.",
            )
        ours = tables_at(self.schema, revisions)
        self._found, others = tables(db, c, ours)
        self.left_out = tuple(others)
        self.shapes = tuple(self._found[name].shape for name in sorted(self._found))

    def rows(
        self,
        table: str,
        columns: Sequence[str] = (),
        order: Sequence[str] = (),
        equal: Mapping[str, int] | None = None,
    ) -> Iterator[Row]:
        shape = self._found[table].shape
        kinds = dict(shape.columns)
        names = tuple(columns) or shape.names
        by = [self._ordered(name, kinds[name]) for name in (order or shape.key)]
        where = " AND ".join(
            f"{quoted(name)} = {int(value)}" for name, value in (equal or {}).items()
        )
        sql = (
            f"SELECT {', '.join(map(quoted, names))} FROM {quoted(table)}"  # noqa: S608 - own names
            f"{' WHERE ' + where if where else ''} ORDER BY {', '.join(by)}"
        )
        most = MOST_WITH_BYTES if any(kinds[name] == "bytes" for name in names) else MOST
        if table == s.body.name and "ciphertext" in names:
            most = MOST_BODIES
        with translated(self._db):
            rows = self._paged(sql, most)
            yield from rows if self._db.server else _typed(rows, table, [kinds[n] for n in names])

    def _ordered(self, name: str, kind: str) -> str:
        """Texts by their bytes on both databases."""
        return quoted(name) + (' COLLATE "C"' if self._db.server and kind == "text" else "")

    def _paged(self, sql: str, most: int) -> Iterator[Row]:
        if not self._db.server:
            # SQLite steps from row to row by itself.
            yield from cast("Iterable[Row]", self._c.execute(sql))
            return
        server = cast("Any", self._c)
        name = f"page_{next(_CURSORS)}"
        server.execute(f"DECLARE {name} NO SCROLL CURSOR FOR {sql}")
        number = min(16, most)
        try:
            while page := server.execute(f"FETCH {number} FROM {name}", binary=True).fetchall():
                yield from page
                number = _next_page(page, number, most)
        finally:
            with suppress(*self._db.errors):  # the transaction may have failed by now
                server.execute(f"CLOSE {name}")

    def count(self, table: str) -> int:
        with translated(self._db):
            row = self._c.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()  # noqa: S608
        return cast("int", row[0]) if row else 0

    def pick(
        self, table: str, column: str, values: Sequence[str], columns: Sequence[str]
    ) -> list[Row]:
        mark = "%(v{})s" if self._db.server else ":v{}"
        marks = ", ".join(mark.format(n) for n in range(len(values)))
        sql = (
            f"SELECT {', '.join(map(quoted, columns))} FROM {quoted(table)} "  # noqa: S608 - own names
            f"WHERE {quoted(column)} IN ({marks})"
        )
        with translated(self._db):
            found = self._c.execute(sql, {f"v{n}": v for n, v in enumerate(values)}).fetchall()
        return cast("list[Row]", found)

    def counters(self) -> dict[str, int]:
        with translated(self._db):
            return {name: self._counter(name) for name in self._counting()}

    def _counting(self) -> list[str]:
        return [
            str(t.name) for t in s.metadata.sorted_tables if counts(t) and t.name in self._found
        ]

    def _counter(self, table: str) -> int:
        if self._db.server:
            named = self._c.execute(_SEQUENCE, {"t": table}).fetchone()
            sql = f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {named[0]}"  # type: ignore[index]  # noqa: S608
            row = self._c.execute(sql).fetchone()
        else:
            row = self._c.execute(
                "SELECT seq FROM sqlite_sequence WHERE name = :t", {"t": table}
            ).fetchone()
        return cast("int", row[0]) if row else 0

    def differences(self) -> list[str]:
        with reading(self._db) as connection:
            return differences(self._db, connection)


class _Filled(SqlSnapshot):
    """What only its own transaction sees."""

    def __init__(self, work: Migration, revisions: Revisions) -> None:
        super().__init__(work.db, work.driver, revisions)
        self._work = work

    def differences(self) -> list[str]:
        return differences(self._db, self._work.connection)


def _typed(rows: Iterator[Row], table: str, kinds: Sequence[ColumnKind]) -> Iterator[Row]:
    """SQLite keeps any value in any column. Raises IntegrityError for one of another type."""
    wanted = [_TYPES[kind] for kind in kinds]
    for row in rows:
        for value, kind in zip(row, wanted, strict=True):
            if value is not None and type(value) is not kind:
                raise IntegrityError(
                    f"the table `{table}` holds a {type(value).__name__} where a {kind.__name__} belongs"
                )
        yield row


_TYPES: dict[ColumnKind, type] = {"int": int, "real": float, "text": str, "bytes": bytes}
_SEQUENCE = "SELECT pg_get_serial_sequence(%(t)s, 'id')"


def counts(table: Any) -> bool:
    """Whether the table gives out ids by itself."""
    return table.autoincrement_column is not None


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _next_page(page: Sequence[Row], number: int, most: int) -> int:
    weight = sum(len(v) if isinstance(v, str | bytes) else 8 for row in page for v in row) or 1
    return max(1, min(most, 4 * number, number * PAGE_BYTES // weight))


@contextmanager
def snapshot(
    url: str, *, still: bool = False, revisions: Revisions = SHIPPED
) -> Iterator[SqlSnapshot]:
    """The database as it is now. Writers go on; with `still` they wait until the block ends.

    With `still` raises Unavailable while another process is connected or writes.
    """
    db = open_database(url)
    if not db.server and not sqlite_path(url).exists():
        raise StorageError(
            f"there is no database `{sqlite_path(url)}`", hint="Check HANDFAST_HOME and the path."
        )
    with translated(db):
        c = db.connect()
        try:
            _begin_read(db, c, still=still)
            yield SqlSnapshot(db, c, revisions)
        finally:
            c.close()


def _begin_read(db: Database, c: Connection, *, still: bool) -> None:
    if not db.server:
        if still:
            begin_write(db, c)
        else:
            c.execute("BEGIN")
        c.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on nothing changes
        return
    c.execute("SET idle_in_transaction_session_timeout = '10min'")
    if still:
        _refuse_company(c)
    c.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    if still:
        found = c.execute(
            "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace "
            "AND relkind IN ('r', 'p')"
        ).fetchall()
        ours = sorted({str(r[0]) for r in found} & {VERSION_TABLE, *s.metadata.tables})
        if ours:
            c.execute(f"LOCK TABLE {', '.join(map(quoted, ours))} IN SHARE MODE")


_COMPANY = """\
SELECT count(*), string_agg(DISTINCT coalesce(host(client_addr), 'this machine'), ', ') FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = %(name)s
"""


def _refuse_company(c: Connection) -> None:
    row = c.execute(_COMPANY, {"name": APPLICATION}).fetchone()
    if row and row[0]:
        raise Unavailable(
            f"{row[0]} connections of Handfast are open to the database, from {row[1]}",
            hint="Stop every server that uses it, then try again.",
        )


class SqlFilling:
    """`copies.Filling` in a migration's transaction."""

    def __init__(self, work: Migration, revisions: Revisions) -> None:
        self._work, self._revisions = work, revisions
        self._db, self._c = work.db, work.driver
        self._found: dict[str, Found] = {}
        self.name = shown(work.db.url)
        self.committed = False

    def at(self, schema: str) -> None:
        """Make the tables of a schema, unless they are there. Raises for a database with entries."""
        there = self._work.version()
        if there and there != schema:
            raise InvalidTransition(
                f"`{self.name}` has schema {there} already, and {schema} is to be put there",
                hint="Name a new, empty database. Nothing was changed.",
            )
        if not there:
            self._work.to(schema)
        self._found, _ = tables(self._db, self._c, tables_at(schema, self._revisions))
        full = [name for name in _CONTENT if name in self._found and self._has_rows(name)]
        if full:
            raise InvalidTransition(
                f"`{self.name}` is not empty: it has rows in {', '.join(full)}",
                hint="Name a new, empty database. Nothing was changed.",
            )

    def _has_rows(self, table: str) -> bool:
        return self._c.execute(f"SELECT 1 FROM {quoted(table)} LIMIT 1").fetchone() is not None  # noqa: S608

    def load(self, shape: Shape, rows: Iterable[Row]) -> None:
        found = self._found.get(shape.name)
        missing = set(shape.names) - set(found.shape.names if found else ())
        if found is None or missing:
            what = f"columns {', '.join(sorted(missing))}" if found else "table"
            raise StorageError(
                f"schema {self._work.version()} of this version has no such {what}: `{shape.name}`",
                hint="Use the Handfast that made it.",
            )
        with translated(self._db):
            if self._has_rows(shape.name):
                self._c.execute(f"DELETE FROM {quoted(shape.name)}")  # noqa: S608 - what a migration put there
            self._insert(shape, found, rows)

    def _insert(self, shape: Shape, found: Found, rows: Iterable[Row]) -> None:
        names = ", ".join(map(quoted, shape.names))
        driver = cast("Any", self._c)
        if not self._db.server:
            marks = ", ".join("?" * len(shape.names))
            sql = f"INSERT INTO {quoted(shape.name)} ({names}) VALUES ({marks})"  # noqa: S608
            driver.executemany(sql, rows)
            return
        types = dict(zip(found.shape.names, found.types, strict=True))
        sql = f"COPY {quoted(shape.name)} ({names}) FROM STDIN (FORMAT BINARY)"
        with driver.cursor() as cursor, cursor.copy(sql) as copy:
            copy.set_types([_BINARY.get(types[name], types[name]) for name in shape.names])
            for row in rows:
                copy.write_row(row)

    def count_on(self, counters: Mapping[str, int]) -> None:
        with translated(self._db):
            for table, last in counters.items():
                if table in self._found and last > 0:
                    self._count_on(table, last)

    def _count_on(self, table: str, last: int) -> None:
        if self._db.server:
            self._c.execute(
                "SELECT setval(pg_get_serial_sequence(%(t)s, 'id'), %(n)s)", {"t": table, "n": last}
            )
            return
        self._c.execute("DELETE FROM sqlite_sequence WHERE name = :t", {"t": table})
        self._c.execute("INSERT INTO sqlite_sequence VALUES (:t, :n)", {"t": table, "n": last})

    def view(self) -> SqlSnapshot:
        return _Filled(self._work, self._revisions)

    def upgrade(self) -> None:
        if self._work.version() != self._revisions.head:
            self._work.to(self._revisions.head)

    def commit(self) -> None:
        self.committed = True


_CONTENT = ("event", "state", "tree_head", "body", "idempotency", "outbox", "credential")
_BINARY = {"bigint": "int8", "integer": "int4", "smallint": "int2", "double precision": "float8"}


class _Undo(Exception):
    """Ends a transaction without a commit."""


@contextmanager
def filling(url: str, schema: str, *, revisions: Revisions = SHIPPED) -> Iterator[SqlFilling]:
    """A database without entries, with the tables of `schema`, filled when the block calls `commit`.

    Raises InvalidTransition for one that has entries, SchemaVersion for a schema not known here.
    """
    db = open_database(url)
    if schema > revisions.head:
        raise SchemaVersion(
            f"it has schema {schema}, this version of Handfast knows up to {revisions.head}",
            hint="Use the Handfast that made it, or a newer one. Nothing was changed.",
        )
    if not db.server:
        make_room(db)
        if not (file := sqlite_path(db.url)).exists():
            file.touch(mode=0o600)  # wherever it is put, it is for its owner only
    with suppress(_Undo), migration(db, revisions) as work:
        made = SqlFilling(work, revisions)
        made.at(schema)
        yield made
        if not made.committed:
            raise _Undo
