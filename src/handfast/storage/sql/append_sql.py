"""What the write path writes: the tables and columns behind each list of `plan.Rows`.

Each database makes its own statements of these (`session_sqlite`, `prepared`), with parameters in
this order.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Table

from handfast.storage.sql import schema as s
from handfast.storage.sql.migrate import HEAD

LOOKUPS = ("kind", "status", "task_id", "run_id", "agent_id", "match", "rank", "due_at")
# The tree's row bears the number of the schema: a writer of another schema finds none.
OURS = f'"id" = {int(HEAD)}'
FRONTIER = f'SELECT "frontier" FROM tree WHERE {OURS}'  # noqa: S608 - a number


@dataclass(frozen=True, slots=True)
class Written:
    """`rows` names the list of `plan.Rows`. `key` is the column a changed row is found by.

    `upsert` are the columns to take over when the row is there already. With `every`, each row
    must hit one, else it was overtaken.
    """

    rows: str
    table: Table
    columns: tuple[str, ...]
    key: str = ""
    upsert: tuple[str, ...] = ()
    only_if: str = ""
    every: bool = False


INSERTS = (
    Written("keys", s.idempotency, ("key", "fingerprint", "result")),
    Written("events", s.event, ("position", "stream", "version", "type", "data", "leaf")),
    Written("opened", s.state, ("stream", "version", "doc", *LOOKUPS, "opened", "root")),
    Written(
        "bodies",
        s.body,
        ("body_id", "salt", "nonce", "ciphertext", "digest", "media", "size"),
    ),
    Written("outbox", s.outbox, ("topic", "payload")),
    Written("nodes", s.tree_node, ("level", "idx", "hash")),
)
UPDATES = (
    Written("moved", s.state, ("version", "doc"), key="stream", every=True),
    Written("changed", s.state, ("version", "doc", *LOOKUPS), key="stream", every=True),
    Written("erased", s.body, ("salt", "nonce", "ciphertext"), key="body_id"),
)
UPSERTS = (
    Written(
        "credentials",
        s.credential,
        ("id", "kind", "subject", "secret", "scopes", "expires_at", "revoked"),
        key="id",
        upsert=("secret", "scopes", "expires_at", "revoked"),
    ),
    Written(
        "leases",
        s.lease,
        ("resource", "holder", "epoch", "expires_at"),
        key="resource",
        upsert=("holder", "epoch", "expires_at"),
        only_if='lease."epoch" < excluded."epoch"',
        every=True,
    ),
)


def names(columns: Sequence[str], sep: str = ", ") -> str:
    return sep.join(f'"{c}"' for c in columns)


def insert(w: Written, values: str) -> str:
    """An INSERT of `values`, changing the row that is there where `w` says so."""
    sql = f"INSERT INTO {w.table.name} ({names(w.columns)}) {values}"
    if not w.upsert:
        return sql
    new = ", ".join(f'"{c}" = excluded."{c}"' for c in w.upsert)
    return f'{sql} ON CONFLICT ("{w.key}") DO UPDATE SET {new}' + (
        f" WHERE {w.only_if}" if w.only_if else ""
    )


def states_of(matching: str) -> str:
    """Version and look-up columns of some streams."""
    return f'SELECT "stream", "version", {names(LOOKUPS)} FROM state WHERE "stream" {matching}'  # noqa: S608 - our own names


def keys_of(matching: str) -> str:
    return f'SELECT "key", "fingerprint", "result" FROM idempotency WHERE "key" {matching}'  # noqa: S608 - our own names
