"""Snapshots of long streams, the number of each fold, and what retention has done with which stream.

All of it can be made again from the log. The tables are written out as they were.
"""

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

revision = "0003"
down_revision = "0002"

metadata = MetaData()

snapshot = Table(
    "snapshot",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("fold", Integer, nullable=False),
    Column("doc", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
)

fold = Table(
    "fold",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("number", Integer, nullable=False),
)

retention = Table(
    "retention",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("done", Integer, nullable=False),
    Column("next_at", BigInteger),
)
Index(
    "retention_due",
    retention.c.kind,
    retention.c.next_at,
    retention.c.stream,
    sqlite_where=retention.c.next_at.isnot(None),
    postgresql_where=retention.c.next_at.isnot(None),
)

retention_seen = Table(
    "retention_seen",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
)


def upgrade() -> None:
    metadata.create_all(op.get_bind(), checkfirst=False)
    op.bulk_insert(retention_seen, [{"id": 1, "position": 0}])
