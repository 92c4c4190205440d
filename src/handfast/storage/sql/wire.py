"""A PostgreSQL connection through libpq: statements prepared by name, many of them in one round trip.

The driver's cursors adapt, look up and check for every statement; for the few statements of the
write path, known in advance, that costs several times what sending them does.
"""

import select
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from handfast.storage.sql.prepared import Prepared

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.pq.abc import PGresult

_FINE = (1, 2)  # libpq's PGRES_COMMAND_OK and PGRES_TUPLES_OK
_SYNCED = 10  # PGRES_PIPELINE_SYNC


class Wire:
    """Takes the connection over. Not thread-safe. Raises psycopg's errors."""

    def __init__(self, connection: "Connection", statements: Iterable[Prepared]) -> None:
        self._connection = connection
        self._pg = connection.pgconn
        for statement in statements:
            checked(self._pg.prepare(statement.name, statement.sql.encode()))
        self._pg.enter_pipeline_mode()
        self._pg.nonblocking = 1
        self._poll = select.poll()

    def send(self, statement: Prepared, values: Sequence[bytes | None] = ()) -> None:
        """Queue a prepared statement; its result comes with the next `answers`."""
        self._pg.send_query_prepared(statement.name, values, (1,) * len(values), 1)

    def send_text(self, sql: str) -> None:
        """The same for a statement without values that is not prepared."""
        self._pg.send_query_params(sql.encode(), None)

    def answers(self) -> "list[PGresult]":
        """Send what is queued and give its results. Raises the first error; what follows it did not run."""
        pg = self._pg
        pg.pipeline_sync()
        while pg.flush():
            self._wait(select.POLLIN | select.POLLOUT)
        results: list[PGresult] = []
        nothing = False
        while True:
            while pg.is_busy():
                self._wait(select.POLLIN)
            result = pg.get_result()
            if result is None:
                if nothing:
                    raise self._lost()
                nothing = True
                continue
            nothing = False
            if result.status == _SYNCED:
                break
            results.append(result)
        for result in results:
            checked(result)
        return results

    def _wait(self, events: int) -> None:
        self._poll.register(self._pg.socket, events)
        if any(event & ~select.POLLOUT for _, event in self._poll.poll()):
            self._pg.consume_input()

    def _lost(self) -> Exception:
        from psycopg import OperationalError

        return OperationalError(f"the connection was lost: {self._pg.get_error_message()}")

    def close(self) -> None:
        self._connection.close()


def checked(result: "PGresult") -> "PGresult":
    """Raises the error that the server gave as the answer."""
    if result.status in _FINE:
        return result
    from psycopg.errors import error_from_result

    raise error_from_result(result)


def lost(error: Exception) -> bool:
    """Whether the server ended the session, rather than refused a statement."""
    state = getattr(error, "sqlstate", None)
    return state is None or state.startswith("57P")
