"""The one connection that writes, as the writer sees it: a group is begun, written and committed.

Each database has its own (`session_sqlite`, `session_postgres`), because what is cheap differs:
SQLite is a function call away and takes statements row by row, PostgreSQL is a round trip away
and takes a whole group in two of them.
"""

from collections.abc import Sequence
from typing import Protocol

from handfast.core.domain.errors import Concurrency
from handfast.storage.sql.append_sql import Written
from handfast.storage.sql.plan import Known, Rows


class Session(Protocol):
    """Raises the driver's errors; the writer translates them. Not thread-safe: one leader at a time."""

    def begin(self, streams: Sequence[str], keys: Sequence[str]) -> Known:
        """Open a transaction, take the write lock, and read what is held of these.

        A connection that died while it was idle is replaced: nothing is lost.
        """
        ...

    def read(self, streams: Sequence[str], keys: Sequence[str]) -> Known:
        """The same once more within the transaction."""
        ...

    def write(self, rows: Rows) -> None:
        """Within the transaction; raises here what the database refuses."""
        ...

    def commit(self, rows: Rows) -> None:
        """Write these too, and end the transaction. Durable when it returns.

        An error that is not of the connection or the disk says that nothing was committed.
        """
        ...

    def run(self, statement: str) -> None:
        """SAVEPOINT and the like."""
        ...

    def drop(self) -> None:
        """Close the connection, whatever state it is in. The next `begin` opens another."""
        ...


def check_hits(w: Written, hit: int, expected: int) -> None:
    """Raises Concurrency when a guarded row was not written."""
    if w.every and hit != expected:
        raise Concurrency(
            f"{expected - hit} of {expected} {w.rows} were overtaken", hint="Read it again."
        )
