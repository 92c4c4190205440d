"""Whether a database has the tables it should have, and which tables a schema of the past had."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from handfast.storage.sql import schema as s
from handfast.storage.sql.connect import Connection, Database, translated
from handfast.storage.sql.migrate import HEAD, SHIPPED, Revisions, migration

if TYPE_CHECKING:
    import sqlalchemy as sa

APPEND_ONLY = ("event", "tree_node", "tree_head")
_TRIGGERS = {
    "sqlite": "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%append-only%'",
    "postgresql": "SELECT c.relname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
    "WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' "
    "AND c.relnamespace = current_schema()::regnamespace",
}
_FOR_EACH = {"sqlite": 2, "postgresql": 1}  # SQLite has one for UPDATE and one for DELETE


@cache
def tables_at(schema: str, revisions: Revisions = SHIPPED) -> frozenset[str]:
    """Names of our tables at a schema: what its revisions make in a database of nothing else."""
    if schema == HEAD and revisions is SHIPPED:
        return frozenset(s.metadata.tables)
    nothing = Database(
        name="sqlite",
        url="sqlite://",
        connect=lambda: cast("Connection", sqlite3.connect(":memory:", isolation_level=None)),
        begin="BEGIN",
        server=False,
        translate=lambda _: None,
        errors=(sqlite3.Error,),
    )
    with migration(nothing, revisions) as work:
        work.to(schema)
        found = work.driver.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall()
    return frozenset(str(row[0]) for row in found)


def differences(db: Database, connection: "sa.Connection") -> list[str]:
    """What makes the tables differ from `schema.py`, and what no longer keeps the log append-only."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    context = MigrationContext.configure(connection, opts={"compare_type": True})
    found = [one for each in compare_metadata(context, s.metadata) for one in _flat(each)]
    said = [words for one in found if (words := _words(one))]
    rows = connection.exec_driver_sql(_TRIGGERS[db.name]).fetchall()
    guards = Counter(str(row[0]) for row in rows)
    return said + [
        f"`{table}` can be changed: its triggers are missing"
        for table in APPEND_ONLY
        if guards[table] < _FOR_EACH[db.name]
    ]


@contextmanager
def reading(db: Database) -> "Iterator[sa.Connection]":
    """A connection of SQLAlchemy that takes no lock."""
    import sqlalchemy as sa

    url = "postgresql+psycopg://" if db.server else "sqlite://"
    engine = sa.create_engine(url, poolclass=sa.NullPool, creator=db.connect)
    try:
        with translated(db), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _flat(difference: Any) -> list[tuple[Any, ...]]:
    """Alembic gives changes of one column as a list of their own."""
    return difference if isinstance(difference, list) else [difference]


def _words(difference: tuple[Any, ...]) -> str:
    """'' for a table that is not ours."""
    what, *rest = difference
    table = next((getattr(r, "table", None) for r in rest if hasattr(r, "table")), None)
    name = getattr(table, "name", "") or next((r for r in rest if isinstance(r, str)), "")
    if what in ("add_table", "remove_table"):
        name = rest[0].name
        return f"the table `{name}` is missing" if what == "add_table" else ""
    if name and name not in s.metadata.tables:
        return ""
    item = next((getattr(r, "name", None) for r in rest if getattr(r, "name", None)), "")
    verb = {"add": "is missing", "remove": "does not belong there"}.get(what.partition("_")[0])
    item = item or next((r for r in rest[1:] if isinstance(r, str) and r != name), "")
    return f"`{name}`: {what.partition('_')[2]} `{item}` {verb or 'is another'}"
