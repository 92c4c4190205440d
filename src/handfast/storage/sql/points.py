"""Reads of one row by its key: what every command asks before it decides.

On PostgreSQL they are prepared statements run through libpq with binary values, which costs a
quarter of the driver's cursor.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import sqlalchemy as sa

from handfast.storage.sql import schema as s
from handfast.storage.sql.append_sql import names
from handfast.storage.sql.connect import Connection, Database
from handfast.storage.sql.prepared import Row, decoders
from handfast.storage.sql.wire import checked

if TYPE_CHECKING:
    from psycopg import Connection as PgConnection


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A row of `table` by its text column `key`."""

    name: str
    table: sa.Table
    key: str
    columns: tuple[str, ...]

    def sql(self, mark: str) -> str:
        return f'SELECT {names(self.columns)} FROM {self.table.name} WHERE "{self.key}" = {mark}'  # noqa: S608 - our own names


STATE = Point("state", s.state, "stream", tuple(c.name for c in s.state.columns))
ANSWER = Point("answer", s.idempotency, "key", ("fingerprint", "result"))
_ALL = (STATE, ANSWER)
_SQLITE = {point: point.sql("?") for point in _ALL}
_POSTGRES = {
    point: (point.name.encode(), decoders([point.table.c[c] for c in point.columns]))
    for point in _ALL
}


def prepare(db: Database, c: Connection) -> None:
    """Once for each connection that reads points."""
    if db.server:
        for point in _ALL:
            sql = point.sql("$1::text").encode()
            checked(cast("PgConnection", c).pgconn.prepare(point.name.encode(), sql))


def read(db: Database, c: Connection, point: Point, key: str) -> Row | None:
    """Raises the driver's errors."""
    if not db.server:
        return c.execute(_SQLITE[point], (key,)).fetchone()
    name, decode = _POSTGRES[point]
    pg = cast("PgConnection", c).pgconn
    result = checked(pg.exec_prepared(name, (key.encode(),), (1,), 1))
    if not result.ntuples:
        return None
    return tuple([d(result.get_value(0, i)) for i, d in enumerate(decode)])
