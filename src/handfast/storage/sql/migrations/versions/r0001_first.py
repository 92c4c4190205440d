"""The first schema: log, tree, states, bodies, keys, outbox, leases, credentials."""

from alembic import op

from handfast.storage.sql.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    metadata.create_all(op.get_bind())
    op.execute("INSERT INTO tree (id, frontier) VALUES (1, " + _zero() + ")")
    if op.get_bind().dialect.name == "sqlite":
        for table in ("event", "tree_node"):
            for what in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_no_{what.lower()} BEFORE {what} ON {table} "
                    "BEGIN SELECT RAISE(ABORT, 'append-only'); END"
                )


def _zero() -> str:
    eight = "00" * 8
    return f"X'{eight}'" if op.get_bind().dialect.name == "sqlite" else f"'\\x{eight}'"
