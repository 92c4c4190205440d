"""The write path's statements on PostgreSQL, prepared once a connection, and how their values look.

A statement takes one array a column, so that a group of any size is one statement a table; rare
rows come one at a time. All values travel in PostgreSQL's binary form.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from handfast.storage.sql import append_sql
from handfast.storage.sql import schema as s
from handfast.storage.sql.append_sql import INSERTS, UPDATES, UPSERTS, Written
from handfast.storage.sql.listening import WORD

Row = tuple[object, ...]
Encode = Callable[[object], bytes | None]
_TEXT, _BYTEA, _INT4, _INT8 = 25, 17, 23, 20  # object ids of types
_HEAD = struct.Struct(">iiiii")  # dimensions, whether there are nulls, type, length, lower bound
_LENGTH = struct.Struct(">i").pack
_FORMATS = {_INT4: struct.Struct(">i"), _INT8: struct.Struct(">q")}
_NULL = _LENGTH(-1)
_SQL_NAMES = {_TEXT: "text", _BYTEA: "bytea", _INT4: "int4", _INT8: "int8"}


def _type_of(column: sa.Column[object]) -> int:
    match column.type:
        case sa.LargeBinary():
            return _BYTEA
        case sa.BigInteger():
            return _INT8
        case sa.Integer():
            return _INT4
        case _:
            return _TEXT


def _encoder(oid: int) -> Encode:
    """Raises TypeError or ValueError for a value of another type."""

    def text(value: object) -> bytes | None:
        return None if value is None else str.encode(value)  # type: ignore[arg-type]

    def blob(value: object) -> bytes | None:
        return value if value is None or type(value) is bytes else bytes(memoryview(value))  # type: ignore[arg-type]

    def number(value: object) -> bytes | None:
        try:
            return None if value is None else _FORMATS[oid].pack(value)
        except struct.error as e:
            raise ValueError(str(e)) from None

    return {_TEXT: text, _BYTEA: blob}.get(oid, number)


def _array_encoder(oid: int) -> Callable[[Sequence[object]], bytes]:
    encode = _encoder(oid)

    def array(values: Sequence[object]) -> bytes:
        """At least one value."""
        parts = [_HEAD.pack(1, 0, oid, len(values), 1)]
        nulls = False
        for value in values:
            item = encode(value)
            if item is None:
                nulls = True
                parts.append(_NULL)
            else:
                parts += (_LENGTH(len(item)), item)
        if nulls:
            parts[0] = _HEAD.pack(1, 1, oid, len(values), 1)
        return b"".join(parts)

    return array


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement by its name on the connection. `bulk` ones take all rows at once."""

    name: bytes
    sql: str
    bulk: bool
    written: Written | None = None
    encoders: tuple[Callable[..., bytes | None], ...] = ()

    def values(self, rows: list[Row]) -> list[bytes | None]:
        """Parameters for all rows of a bulk statement."""
        return [
            encode(column)
            for encode, column in zip(self.encoders, zip(*rows, strict=True), strict=True)
        ]

    def value(self, row: Row) -> list[bytes | None]:
        """Parameters for one row."""
        return [encode(item) for encode, item in zip(self.encoders, row, strict=True)]


def _bulk_insert(w: Written) -> Prepared:
    types = [_type_of(w.table.c[c]) for c in w.columns]
    sql = append_sql.insert(w, f"SELECT * FROM {_unnest(types)}")  # noqa: S608 - our own names
    return Prepared(w.rows.encode(), sql, bulk=True, written=w, encoders=_arrays(types))


def _bulk_update(w: Written) -> Prepared:
    given = (*w.columns, w.key)
    types = [_type_of(w.table.c[c]) for c in given]
    new = ", ".join(f'"{c}" = u."{c}"' for c in w.columns)
    source = f"{_unnest(types)} AS u({append_sql.names(given)})"
    sql = f'UPDATE {w.table.name} SET {new} FROM {source} WHERE {w.table.name}."{w.key}" = u."{w.key}"'  # noqa: S608 - our own names
    return Prepared(w.rows.encode(), sql, bulk=True, written=w, encoders=_arrays(types))


def _single_upsert(w: Written) -> Prepared:
    types = [_type_of(w.table.c[c]) for c in w.columns]
    marks = ", ".join(f"${i}::{_SQL_NAMES[t]}" for i, t in enumerate(types, start=1))
    encoders = tuple(_encoder(t) for t in types)
    sql = append_sql.insert(w, f"VALUES ({marks})")
    return Prepared(w.rows.encode(), sql, bulk=False, written=w, encoders=encoders)


def _unnest(types: Sequence[int]) -> str:
    arrays = ", ".join(f"${i}::{_SQL_NAMES[t]}[]" for i, t in enumerate(types, start=1))
    return f"unnest({arrays})"


def _arrays(types: Sequence[int]) -> tuple[Callable[..., bytes | None], ...]:
    return tuple(_array_encoder(t) for t in types)


BEGIN = Prepared(b"begin", "BEGIN", bulk=False)
COMMIT = Prepared(b"commit", "COMMIT", bulk=False)
LOCK = Prepared(b"lock", f"{append_sql.FRONTIER} FOR UPDATE", bulk=False)
# Locked, because a state may be folded again at its version meanwhile, and its look-up columns with it.
STATES_OF = Prepared(
    b"states_of",
    append_sql.states_of("= ANY($1::text[]) FOR NO KEY UPDATE"),
    bulk=True,
    encoders=_arrays([_TEXT]),
)
KEYS_OF = Prepared(
    b"keys_of", append_sql.keys_of("= ANY($1::text[])"), bulk=True, encoders=_arrays([_TEXT])
)
# Also tells every server the log's new size, when it commits.
SET_FRONTIER = Prepared(
    b"set_frontier",
    f'UPDATE tree SET "frontier" = $1::bytea WHERE {append_sql.OURS} '  # noqa: S608 - a number
    f"RETURNING {WORD}",
    bulk=False,
    encoders=(_encoder(_BYTEA),),
)
WRITES = (
    *map(_bulk_insert, INSERTS),
    *map(_bulk_update, UPDATES),
    *map(_single_upsert, UPSERTS),
)
ALL = (BEGIN, COMMIT, LOCK, STATES_OF, KEYS_OF, SET_FRONTIER, *WRITES)


def _decode_text(value: bytes | None) -> object:
    return None if value is None else value.decode()


def _decode_number(value: bytes | None) -> object:
    return None if value is None else int.from_bytes(value, "big", signed=True)


def _decode_bytes(value: bytes | None) -> object:
    return value


def decoders(columns: Iterable[sa.Column[object]]) -> tuple[Callable[[bytes | None], object], ...]:
    """What turns binary values of these columns into Python's."""
    by_type = {_TEXT: _decode_text, _BYTEA: _decode_bytes}
    return tuple(by_type.get(_type_of(c), _decode_number) for c in columns)


_STATE_ROW = decoders([s.state.c[c] for c in ("version", *append_sql.LOOKUPS)])


def state_row(values: Sequence[bytes | None]) -> Row:
    """The version and look-up columns of a row of `STATES_OF`, without its stream."""
    return tuple([decode(value) for decode, value in zip(_STATE_ROW, values, strict=True)])
