"""Which tables a database really has, read from its own catalogue."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import cast

from handfast.core.domain.errors import StorageError
from handfast.storage.copies import ColumnKind, Shape
from handfast.storage.sql.connect import Connection, Database

_KINDS: dict[str, ColumnKind] = {
    "integer": "int",
    "bigint": "int",
    "smallint": "int",
    "double precision": "real",
    "real": "real",
    "float": "real",
    "text": "text",
    "varchar": "text",
    "character varying": "text",
    "blob": "bytes",
    "bytea": "bytes",
}
_SQLITE = """\
SELECT m.name, c.name, c.type, c.pk FROM sqlite_master AS m, pragma_table_info(m.name) AS c
WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY m.name, c.cid
"""
_POSTGRESQL = """\
SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL),
       coalesce(array_position(i.indkey::int2[], a.attnum), -1) + 1
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""
VERSION_TABLE = "alembic_version"


@dataclass(frozen=True, slots=True)
class Found:
    """A table's shape, and the types of its columns in the database's words."""

    shape: Shape
    types: tuple[str, ...]


def tables(
    db: Database, c: Connection, ours: Collection[str]
) -> tuple[dict[str, Found], list[str]]:
    """The tables named in `ours` that are there, and the names of all others.

    Raises StorageError for a column of a type that a copy could not keep.
    """
    found: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for row in c.execute(_SQLITE if db.name == "sqlite" else _POSTGRESQL).fetchall():
        table, column, kind, key = cast("tuple[str, str, str, int]", row)
        found[table].append((column, kind.lower(), key))
    found.pop(VERSION_TABLE, None)
    others = sorted(name for name in found if name not in ours)
    return {name: _table(name, found[name]) for name in found if name in ours}, others


def _table(name: str, columns: list[tuple[str, str, int]]) -> Found:
    unknown = [f"`{name}.{column}` ({kind})" for column, kind, _ in columns if kind not in _KINDS]
    if unknown:
        raise StorageError(
            f"columns of a type that cannot be copied: {', '.join(unknown)}",
            hint="Use the newest Handfast for this database.",
        )
    key = sorted((place, column) for column, _, place in columns if place > 0)
    shape = Shape(
        name,
        tuple((column, _KINDS[kind]) for column, kind, _ in columns),
        tuple(column for _, column in key),
    )
    return Found(shape, tuple(kind for _, kind, _ in columns))
