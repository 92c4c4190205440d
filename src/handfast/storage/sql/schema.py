"""The tables. Times are microseconds since the epoch in UTC, so both databases compare them alike."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

event = Table(
    "event",
    metadata,
    Column(
        "position",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("stream", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    UniqueConstraint("stream", "version"),
)

tree = Table(
    "tree",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("frontier", LargeBinary, nullable=False),
)

tree_node = Table(
    "tree_node",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("idx", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
)

tree_head = Table(
    "tree_head",
    metadata,
    Column(
        "size", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    ),
    Column("note", Text, nullable=False),
)

state = Table(
    "state",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("task_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("agent_id", Text, nullable=False),
    Column("match", Text, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("due_at", BigInteger),
    Column("opened", BigInteger, nullable=False),
    Column("doc", LargeBinary, nullable=False),
    # Ranges of paths are compared byte by byte, on both databases.
    Column("root", Text().with_variant(Text(collation="C"), "postgresql")),
)
# Look-ups by a column must also give the order of the answer, or SQLite walks the whole queue instead.
Index("state_queue", state.c.kind, state.c.status, state.c.rank, state.c.opened)
Index("state_opened", state.c.kind, state.c.opened)
Index("state_recent", state.c.kind, state.c.status, state.c.opened)
# With the rank at its end: what somebody with a limited sight is shown is chosen from the index alone.
Index(
    "state_root",
    state.c.kind,
    state.c.status,
    state.c.root,
    state.c.opened,
    state.c.rank,
    sqlite_where=state.c.root.isnot(None),
    postgresql_where=state.c.root.isnot(None),
)
Index(
    "state_due",
    state.c.kind,
    state.c.due_at,
    sqlite_where=state.c.due_at.isnot(None),
    postgresql_where=state.c.due_at.isnot(None),
)
Index(
    "state_match",
    state.c.kind,
    state.c.match,
    state.c.opened,
    sqlite_where=state.c.match != "",
    postgresql_where=state.c.match != "",
)
Index(
    "state_run",
    state.c.run_id,
    state.c.kind,
    state.c.status,
    state.c.rank,
    state.c.opened,
    sqlite_where=state.c.run_id != "",
    postgresql_where=state.c.run_id != "",
)
Index(
    "state_task",
    state.c.task_id,
    state.c.kind,
    state.c.status,
    state.c.rank,
    state.c.opened,
    sqlite_where=state.c.task_id != "",
    postgresql_where=state.c.task_id != "",
)

body = Table(
    "body",
    metadata,
    Column("body_id", Text, primary_key=True),
    Column("salt", LargeBinary, nullable=False),
    Column("nonce", LargeBinary, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("digest", Text, nullable=False),
    Column("media", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
)

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

idempotency = Table(
    "idempotency",
    metadata,
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("result", LargeBinary, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("topic", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("not_before", BigInteger, nullable=False, server_default="0"),
    Column("spared", Integer, nullable=False, server_default="0"),
    Column("done", Text, nullable=False, server_default=""),
    Column("error", Text, nullable=False, server_default=""),
    sqlite_autoincrement=True,  # the id is the receiver's idempotency key: never used twice
)
Index("outbox_state", outbox.c.state, outbox.c.id)

relay_worker = Table(
    "relay_worker",
    metadata,
    Column("id", Text, primary_key=True),
    Column("beats", BigInteger, nullable=False),
)

lease = Table(
    "lease",
    metadata,
    Column("resource", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

credential = Table(
    "credential",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked", Integer, nullable=False),
)
Index("credential_subject", credential.c.subject, credential.c.kind)
