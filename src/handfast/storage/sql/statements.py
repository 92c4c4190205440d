"""Every statement of the store, built with SQLAlchemy Core and compiled to text once a process.

Running the compiled text on the driver's own connection saves about half of a commit's CPU
against executing constructs; the constructs keep one source for both dialects.
"""

from dataclasses import dataclass
from typing import cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from handfast.storage.sql import schema as s

TOGETHER = 50  # bodies that are read in one statement


@dataclass(frozen=True, slots=True)
class Statements:
    """SQL text with named parameters, in the driver's style."""

    frontier: str
    frontier_locked: str
    set_frontier: str
    add_event: str
    add_node: str
    add_state: str
    set_state: str
    add_body: str
    add_key: str
    get_key: str
    add_outbox: str
    set_lease: str
    renew_lease: str
    get_lease: str
    put_credential: str
    get_credential: str
    credentials_of: str
    revoke_credential: str
    get_state: str
    get_version: str
    get_body: str
    get_bodies: str
    erase_body: str
    events_of_stream: str
    events_after: str
    leaves: str
    nodes: str
    add_head: str
    heads: str
    outbox_page: str
    outbox_done: str
    outbox_failed: str


def dialect_for(name: str) -> Dialect:
    """SQLAlchemy dialect whose compiled parameters the raw driver takes as a mapping."""
    if name == "sqlite":
        return sqlite.dialect(paramstyle="named")
    from sqlalchemy.dialects.postgresql import psycopg

    dialect: Dialect = psycopg.dialect()  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
    return dialect


def compiler(name: str) -> "Compile":
    return Compile(dialect_for(name), name)


class Compile:
    """Turns a construct into text for one dialect."""

    def __init__(self, dialect: Dialect, name: str) -> None:
        self._dialect = dialect
        self.name = name

    def __call__(self, construct: sa.ClauseElement) -> str:
        return str(construct.compile(dialect=self._dialect))

    def upsert(
        self, table: sa.Table, key: str, changed: tuple[str, ...], *, rising: str = ""
    ) -> sa.ClauseElement:
        """Insert, or change `changed` of the row there is; only while `rising` grows, when it is set."""
        insert = (sqlite if self.name == "sqlite" else postgresql).insert(table)
        if not changed:
            return cast("sa.ClauseElement", insert.on_conflict_do_nothing(index_elements=[key]))
        new = {c: insert.excluded[c] for c in changed}
        where = table.c[rising] < insert.excluded[rising] if rising else None
        update = insert.on_conflict_do_update(index_elements=[key], set_=new, where=where)
        return cast("sa.ClauseElement", update)


_NO_OFFSET: sa.ColumnElement[int] = sa.literal_column(
    "0"
)  # else SQLite's dialect binds an offset of its own


def _p(name: str, column: sa.Column[object]) -> sa.BindParameter[object]:
    return sa.bindparam(name, type_=column.type)


def build(c: Compile) -> Statements:
    """All statements for one dialect."""
    return Statements(**_write_path(c), **_lookups(c), **_reads(c))


def _write_path(c: Compile) -> dict[str, str]:
    frontier = sa.select(s.tree.c.frontier).where(s.tree.c.id == sa.literal_column("1"))
    state_columns = [x.name for x in s.state.columns if x.name not in ("stream", "opened")]
    set_state = (
        sa.update(s.state)
        .where(s.state.c.stream == _p("stream", s.state.c.stream))
        .where(s.state.c.version == _p("expected", s.state.c.version))
        .values({n: _p(n, s.state.c[n]) for n in state_columns})
    )
    return {
        "frontier": c(frontier),
        "frontier_locked": c(frontier.with_for_update()),
        "set_frontier": c(
            sa.update(s.tree)
            .where(s.tree.c.id == sa.literal_column("1"))
            .values(frontier=_p("frontier", s.tree.c.frontier))
        ),
        "add_event": c(sa.insert(s.event)),
        "add_node": c(sa.insert(s.tree_node)),
        "add_state": c(sa.insert(s.state)),
        "set_state": c(set_state),
        "add_body": c(sa.insert(s.body)),
        "add_key": c(c.upsert(s.idempotency, "key", ())),
        "get_key": c(
            sa.select(s.idempotency.c.fingerprint, s.idempotency.c.result).where(
                s.idempotency.c.key == _p("key", s.idempotency.c.key)
            )
        ),
        "add_outbox": c(
            sa.insert(s.outbox).values(
                topic=_p("topic", s.outbox.c.topic), payload=_p("payload", s.outbox.c.payload)
            )
        ),
        "set_lease": c(
            c.upsert(s.lease, "resource", ("holder", "epoch", "expires_at"), rising="epoch")
        ),
        "put_credential": c(
            c.upsert(s.credential, "id", ("secret", "scopes", "expires_at", "revoked"))
        ),
        "add_head": c(c.upsert(s.tree_head, "size", ())),
    }


def _lookups(c: Compile) -> dict[str, str]:
    lease_is = s.lease.c.resource == _p("resource", s.lease.c.resource)
    credential_is = s.credential.c.id == _p("id", s.credential.c.id)
    body_is = s.body.c.body_id == _p("body_id", s.body.c.body_id)
    outbox_is = s.outbox.c.id == _p("id", s.outbox.c.id)
    return {
        "renew_lease": c(
            sa.update(s.lease)
            .where(lease_is, s.lease.c.epoch == _p("of_epoch", s.lease.c.epoch))
            .values(expires_at=_p("expires_at", s.lease.c.expires_at))
        ),
        "get_lease": c(sa.select(s.lease).where(lease_is)),
        "get_credential": c(sa.select(s.credential).where(credential_is)),
        "credentials_of": c(
            sa.select(s.credential)
            .where(s.credential.c.subject == _p("subject", s.credential.c.subject))
            .where(s.credential.c.kind == _p("kind", s.credential.c.kind))
            .where(s.credential.c.revoked == sa.literal_column("0"))
        ),
        "revoke_credential": c(
            sa.update(s.credential).where(credential_is).values(revoked=sa.literal_column("1"))
        ),
        "get_state": c(
            sa.select(s.state).where(s.state.c.stream == _p("stream", s.state.c.stream))
        ),
        "get_version": c(
            sa.select(s.state.c.version).where(s.state.c.stream == _p("stream", s.state.c.stream))
        ),
        "get_body": c(sa.select(s.body).where(body_is)),
        "erase_body": c(
            sa.update(s.body)
            .where(body_is)
            .values(
                {
                    "salt": _p("empty", s.body.c.salt),
                    "nonce": _p("empty", s.body.c.salt),
                    "ciphertext": _p("empty", s.body.c.salt),
                }
            )
        ),
        "outbox_done": c(sa.delete(s.outbox).where(outbox_is)),
        "outbox_failed": c(
            sa.update(s.outbox)
            .where(outbox_is)
            .values(attempts=s.outbox.c.attempts + sa.literal_column("1"))
        ),
    }


def _reads(c: Compile) -> dict[str, str]:
    limit = sa.bindparam("limit", type_=sa.Integer)
    after = sa.bindparam("after", type_=sa.BigInteger)
    page = sa.select(s.event)
    span = [sa.bindparam("start", type_=sa.BigInteger), sa.bindparam("stop", type_=sa.BigInteger)]
    return {
        "get_bodies": c(
            sa.select(s.body).where(
                s.body.c.body_id.in_([_p(f"id_{i}", s.body.c.body_id) for i in range(TOGETHER)])
            )
        ),
        "events_of_stream": c(
            page.where(
                s.event.c.stream == _p("stream", s.event.c.stream), s.event.c.version > after
            )
            .order_by(s.event.c.version)
            .limit(limit)
            .offset(_NO_OFFSET)
        ),
        "events_after": c(
            page.where(s.event.c.position > after)
            .order_by(s.event.c.position)
            .limit(limit)
            .offset(_NO_OFFSET)
        ),
        "leaves": c(
            sa.select(s.event.c.leaf)
            .where(s.event.c.position > span[0], s.event.c.position <= span[1])
            .order_by(s.event.c.position)
        ),
        "nodes": c(
            sa.select(s.tree_node.c.hash)
            .where(s.tree_node.c.level == _p("level", s.tree_node.c.level))
            .where(s.tree_node.c.idx >= span[0], s.tree_node.c.idx < span[1])
            .order_by(s.tree_node.c.idx)
        ),
        "heads": c(
            sa.select(s.tree_head)
            .order_by(s.tree_head.c.size.desc())
            .limit(limit)
            .offset(_NO_OFFSET)
        ),
        "outbox_page": c(
            sa.select(s.outbox).order_by(s.outbox.c.id).limit(limit).offset(_NO_OFFSET)
        ),
    }


def events_of_types(number: int, *, of_stream: bool) -> sa.ClauseElement:
    """A page of events of `number` types: of the log, or of one stream."""
    order = s.event.c.version if of_stream else s.event.c.position
    types = [s.event.c.type == sa.bindparam(f"type_{i}", type_=sa.Text) for i in range(number)]
    page = sa.select(s.event).where(order > sa.bindparam("after", type_=sa.BigInteger))
    if of_stream:
        page = page.where(s.event.c.stream == _p("stream", s.event.c.stream))
    limit = sa.bindparam("limit", type_=sa.Integer)
    return page.where(sa.or_(*types)).order_by(order).limit(limit).offset(_NO_OFFSET)
