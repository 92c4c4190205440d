"""The writing connection of SQLite."""

import random
import sqlite3
import time
from collections.abc import Sequence
from functools import cache
from typing import cast

from handfast.core.domain.faults import fault_point
from handfast.storage.sql import append_sql, connect
from handfast.storage.sql.append_sql import INSERTS, UPDATES, UPSERTS, Written
from handfast.storage.sql.connect import Database, moved_on
from handfast.storage.sql.plan import Known, Rows
from handfast.storage.sql.session import check_hits


def _insert(w: Written) -> str:
    return append_sql.insert(w, f"VALUES ({', '.join('?' * len(w.columns))})")


def _update(w: Written) -> str:
    new = ", ".join(f'"{c}" = ?' for c in w.columns)
    return f'UPDATE {w.table.name} SET {new} WHERE "{w.key}" = ?'  # noqa: S608 - our own names


_STATEMENTS = tuple(
    [(w, _insert(w)) for w in INSERTS]
    + [(w, _update(w)) for w in UPDATES]
    + [(w, _insert(w)) for w in UPSERTS]
)
_SET_FRONTIER = f'UPDATE tree SET "frontier" = ? WHERE {append_sql.OURS}'  # noqa: S608 - a number
_MANY = 500  # values in one list of a SELECT
_MOST_ROWS = 64  # of one INSERT


class SqliteSession:
    """Not thread-safe: the writer's line lets one leader in at a time."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._c: sqlite3.Connection | None = None

    def begin(self, streams: Sequence[str], keys: Sequence[str]) -> Known:
        """With a short jittered retry while another process writes: a busy handler starves."""
        c = self._connection()
        deadline = time.monotonic() + connect.LOCK_WAIT_S
        while True:
            try:
                c.execute("BEGIN IMMEDIATE")
                break
            except sqlite3.OperationalError as e:
                if "locked" not in str(e) or time.monotonic() > deadline:
                    raise
                time.sleep(random.uniform(0.0002, 0.002))  # noqa: S311 - jitter, not a secret
        return self.read(streams, keys)

    def _connection(self) -> sqlite3.Connection:
        if self._c is None:
            self._c = cast("sqlite3.Connection", self._db.connect())
            self._c.execute("PRAGMA busy_timeout = 0")  # `begin` does the waiting
        return self._c

    def read(self, streams: Sequence[str], keys: Sequence[str]) -> Known:
        run = self._connection().execute
        row = run(append_sql.FRONTIER).fetchone()
        if row is None:
            raise moved_on()
        known = Known(bytes(row[0]), {}, {})
        for start in range(0, len(streams), _MANY):
            some = streams[start : start + _MANY]
            for row in run(_states_of(len(some)), some):
                known.states[row[0]] = row[1:]
        for start in range(0, len(keys), _MANY):
            some = keys[start : start + _MANY]
            for key, fingerprint, result in run(_keys_of(len(some)), some):
                known.keys[key] = (fingerprint, bytes(result))
        return known

    def write(self, rows: Rows) -> None:
        c = self._connection()
        for written, sql in _STATEMENTS:
            given = getattr(rows, written.rows)
            if not given:
                continue
            if len(given) == 1:
                hit = c.execute(sql, given[0]).rowcount
            elif not written.key and len(given) <= _MOST_ROWS:
                flat = [value for row in given for value in row]
                hit = c.execute(_rows_of(sql, len(given)), flat).rowcount
            else:
                hit = c.executemany(sql, given).rowcount
            if written.every:
                check_hits(written, hit, len(given))
        if rows.frontier:
            c.execute(_SET_FRONTIER, (rows.frontier,))

    def commit(self, rows: Rows) -> None:
        self.write(rows)
        fault_point("store.before_commit")
        self.run("COMMIT")
        fault_point("store.after_commit")

    def run(self, statement: str) -> None:
        self._connection().execute(statement)

    def drop(self) -> None:
        c, self._c = self._c, None
        if c is not None:
            c.close()


@cache
def _states_of(number: int) -> str:
    return append_sql.states_of(f"IN ({', '.join('?' * number)})")


@cache
def _keys_of(number: int) -> str:
    return append_sql.keys_of(f"IN ({', '.join('?' * number)})")


@cache
def _rows_of(insert: str, number: int) -> str:
    """The INSERT with this many rows: one step for the database, so the interpreter is let go once."""
    head, values, row = insert.partition("VALUES ")
    return f"{head}{values}{', '.join([row] * number)}"
