"""Connections for reads, and for the small writes that are not in the log."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TypeVar

from handfast.core.domain.errors import StorageError, Unavailable
from handfast.storage.sql.connect import Connection, Database, begin_write, moved_on
from handfast.storage.sql.points import Point, prepare, read
from handfast.storage.sql.prepared import Row

MOST = 32
WAIT_S = 15.0
Params = Mapping[str, object] | Sequence[object]
T = TypeVar("T")


class Readers:
    """At most 32 connections, opened when needed and kept; the one used last is used next.

    Each read sees committed data only. Thread-safe: a list and a queue of the interpreter, whose
    operations are atomic, cost a tenth of a general pool.
    """

    def __init__(self, db: Database, ours: str) -> None:
        """`ours` is a statement that finds a row while the database has the schema of this code."""
        self._db = db
        self._sql_of_ours = ours
        self._idle: list[Connection] = []
        self._permits: SimpleQueue[None] = SimpleQueue()
        for _ in range(MOST):
            self._permits.put(None)

    def point(self, point: Point, key: str) -> Row | None:
        """The row with this key, if there is one."""
        return self._again(lambda c: read(self._db, c, point, key))

    def all(self, sql: str, params: Params) -> list[Row]:
        """Every row."""
        return self._again(lambda c: c.execute(sql, params).fetchall())

    def _again(self, ask: Callable[[Connection], T]) -> T:
        """When the server was restarted the idle connections are given up and the read done once more.

        Not when all are in use: each reader who gave them up would open as many again.
        """
        with self._permit():
            try:
                return self._read(ask)
            except Unavailable:
                if not self._db.server:
                    raise
            self._close_idle()
            return self._read(ask)

    def _read(self, ask: Callable[[Connection], T]) -> T:
        c = self._take()
        try:
            answer = ask(c)
        except BaseException as e:
            self._discard(c)
            if isinstance(e, self._db.errors):
                raise self._ours(e) from e
            raise
        self._give(c)
        return answer

    def one(self, sql: str, params: Params) -> Row | None:
        rows = self.all(sql, params)
        return rows[0] if rows else None

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Raises our errors; a connection that failed is not used again."""
        with self._permit():
            c = self._take()
            try:
                yield c
            except BaseException as e:
                self._discard(c)
                if isinstance(e, self._db.errors):
                    raise self._ours(e) from e
                raise
            self._give(c)

    def write(self, statements: Sequence[tuple[str, Mapping[str, object]]]) -> int:
        """A small write of its own that is not in the log. Returns the last row count."""
        with self.connection() as c:
            begin_write(self._db, c)
            if c.execute(self._sql_of_ours).fetchone() is None:
                raise moved_on()
            count = 0
            for sql, params in statements:
                count = c.execute(sql, params).rowcount
            c.execute("COMMIT")
            return count

    def close(self) -> None:
        self._close_idle()

    @contextmanager
    def _permit(self) -> Iterator[None]:
        """Around the use of one connection: there are only so many."""
        try:
            self._permits.get(timeout=WAIT_S)
        except Empty:
            raise Unavailable(
                "all connections to the database are in use", hint="Try again in a moment."
            ) from None
        try:
            yield
        finally:
            self._permits.put(None)

    def _take(self) -> Connection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._open()

    def _open(self) -> Connection:
        c = self._db.connect()
        try:
            prepare(self._db, c)
        except self._db.errors as e:
            c.close()
            raise self._ours(e) from e
        return c

    def _give(self, c: Connection) -> None:
        self._idle.append(c)

    def _discard(self, c: Connection) -> None:
        try:
            c.close()
        except self._db.errors:
            return

    def _close_idle(self) -> None:
        while self._idle:
            try:
                c = self._idle.pop()
            except IndexError:
                return
            try:
                c.close()
            except self._db.errors:
                continue

    def _ours(self, e: Exception) -> Exception:
        return self._db.translate(e) or StorageError(f"the database refused: {e}")
