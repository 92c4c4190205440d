"""The writing connection of PostgreSQL: one a server, a group in two round trips.

The first takes the lock on the tree's row and reads; whatever it reads after it has the lock stays
so until the commit. The second sends the rows and the COMMIT together.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from handfast.core.domain.errors import StorageError
from handfast.core.domain.faults import fault_point
from handfast.storage.sql import prepared as p
from handfast.storage.sql.connect import Database, moved_on
from handfast.storage.sql.plan import Known, Rows
from handfast.storage.sql.session import check_hits
from handfast.storage.sql.wire import Wire, lost

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.pq.abc import PGresult

# Few statements, each of them right with the index: no plan may be made for a table while it is
# small and then kept, and none is made again for every group.
_PLANS = """\
SELECT set_config(name, value, false) FROM (VALUES
  ('enable_seqscan', 'off'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'),
  ('plan_cache_mode', 'force_generic_plan')) AS t(name, value)
"""


class PostgresSession:
    """See `session.Session`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._wire: Wire | None = None

    def begin(self, streams: Sequence[str], keys: Sequence[str]) -> Known:
        if self._wire is not None:
            try:
                return self._read(self._wire, streams, keys, begin=True)
            except self._db.errors as e:
                if not lost(e):
                    raise
                self.drop()
        return self._read(self._connected(), streams, keys, begin=True)

    def _connected(self) -> Wire:
        if self._wire is None:
            c = self._db.connect()
            try:
                c.execute(_PLANS)
                self._wire = Wire(cast("Connection", c), p.ALL)
            except BaseException:
                c.close()
                raise
        return self._wire

    def read(self, streams: Sequence[str], keys: Sequence[str]) -> Known:
        return self._read(self._connected(), streams, keys, begin=False)

    def _read(
        self, wire: Wire, streams: Sequence[str], keys: Sequence[str], *, begin: bool
    ) -> Known:
        if begin:
            wire.send(p.BEGIN)
        wire.send(p.LOCK)
        if streams:
            wire.send(p.STATES_OF, p.STATES_OF.value((streams,)))
        if keys:
            wire.send(p.KEYS_OF, p.KEYS_OF.value((keys,)))
        answers = iter(wire.answers()[1 if begin else 0 :])
        frontier = next(answers)
        if frontier.ntuples != 1:
            raise moved_on()
        known = Known(frontier.get_value(0, 0) or b"", {}, {})
        if streams:
            for stream, *columns in _tuples(next(answers)):
                known.states[(stream or b"").decode()] = p.state_row(columns)
        if keys:
            for key, fingerprint, result in _tuples(next(answers)):
                known.keys[(key or b"").decode()] = ((fingerprint or b"").decode(), result or b"")
        return known

    def write(self, rows: Rows) -> None:
        wire = self._connected()
        sent = self._send(wire, rows)
        for statement, answer in zip(sent, wire.answers(), strict=True):
            if statement.written is not None and not statement.bulk:
                check_hits(statement.written, answer.command_tuples or 0, 1)

    def commit(self, rows: Rows) -> None:
        if rows.leases:  # their guard must have answered before the commit is sent
            self.write(rows)
            rows = Rows()
        wire = self._connected()
        self._send(wire, rows)
        fault_point("store.before_commit")
        wire.send(p.COMMIT)
        ended = wire.answers()[-1].command_status
        if ended != b"COMMIT":
            raise StorageError(f"PostgreSQL answered {ended!r} to a COMMIT")
        fault_point("store.after_commit")

    def _send(self, wire: Wire, rows: Rows) -> list[p.Prepared]:
        """Queue the statements, and give them in order."""
        sent = []
        for statement in p.WRITES:
            given = getattr(rows, statement.written.rows) if statement.written else ()
            if given and statement.bulk:
                wire.send(statement, statement.values(given))
                sent.append(statement)
            else:
                for row in given:
                    wire.send(statement, statement.value(row))
                    sent.append(statement)
        if rows.frontier:
            wire.send(p.SET_FRONTIER, p.SET_FRONTIER.value((rows.frontier,)))
            sent.append(p.SET_FRONTIER)
        return sent

    def run(self, statement: str) -> None:
        wire = self._connected()
        wire.send_text(statement)
        wire.answers()

    def drop(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()


def _tuples(result: "PGresult") -> list[list[bytes | None]]:
    columns = range(result.nfields)
    return [[result.get_value(r, c) for c in columns] for r in range(result.ntuples)]
