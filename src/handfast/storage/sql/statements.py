"""Every statement but the write path's (`append_sql`), built with SQLAlchemy Core and compiled to text once a process.

Running the compiled text on the driver's own connection saves about half of a commit's CPU
against executing constructs; the constructs keep one source for both dialects.
"""

from dataclasses import dataclass
from functools import cache
from typing import cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from handfast.storage.sql import schema as s
from handfast.storage.sql.migrate import HEAD

TOGETHER = 50  # bodies that are read in one statement


@dataclass(frozen=True, slots=True)
class Statements:
    """SQL text with named parameters, in the driver's style."""

    frontier: str
    ours: str
    set_state: str
    renew_lease: str
    get_lease: str
    get_credential: str
    credentials_of: str
    revoke_credential: str
    get_body: str
    get_bodies: str
    erase_body: str
    events_of_stream: str
    events_after: str
    leaves: str
    nodes: str
    add_head: str
    heads: str


def dialect_for(name: str) -> Dialect:
    """SQLAlchemy dialect whose compiled parameters the raw driver takes as a mapping."""
    if name == "sqlite":
        return sqlite.dialect(paramstyle="named")
    from sqlalchemy.dialects.postgresql import psycopg

    dialect: Dialect = psycopg.dialect()  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
    return dialect


@cache
def compiler(name: str) -> "Compile":
    """One a dialect, so that what was compiled serves every store of the process."""
    return Compile(dialect_for(name), name)


class Compile:
    """Turns a construct into text for one dialect."""

    def __init__(self, dialect: Dialect, name: str) -> None:
        self._dialect = dialect
        self.name = name
        self.queries: dict[object, str] = {}  # by shape, for the store's `find`

    def __call__(self, construct: sa.ClauseElement) -> str:
        return str(construct.compile(dialect=self._dialect))

    def insert_once(self, table: sa.Table, key: str) -> sa.ClauseElement:
        """Insert, unless the row is there."""
        insert = (sqlite if self.name == "sqlite" else postgresql).insert(table)
        return cast("sa.ClauseElement", insert.on_conflict_do_nothing(index_elements=[key]))


_NO_OFFSET: sa.ColumnElement[int] = sa.literal_column(
    "0"
)  # else SQLite's dialect binds an offset of its own


def _p(name: str, column: sa.Column[object]) -> sa.BindParameter[object]:
    return sa.bindparam(name, type_=column.type)


@cache
def build(c: Compile) -> Statements:
    """All statements for one dialect."""
    return Statements(**_lookups(c), **_reads(c))


_OF_ITS_BEGINNING = ("stream", "opened", "root")


def _set_state() -> sa.Update:
    """A state folded again: the same version, another document."""
    state_columns = [x.name for x in s.state.columns if x.name not in _OF_ITS_BEGINNING]
    return (
        sa.update(s.state)
        .where(s.state.c.stream == _p("stream", s.state.c.stream))
        .where(s.state.c.version == _p("expected", s.state.c.version))
        .values({n: _p(n, s.state.c[n]) for n in state_columns})
    )


def _lookups(c: Compile) -> dict[str, str]:
    lease_is = s.lease.c.resource == _p("resource", s.lease.c.resource)
    credential_is = s.credential.c.id == _p("id", s.credential.c.id)
    body_is = s.body.c.body_id == _p("body_id", s.body.c.body_id)
    ours = s.tree.c.id == sa.literal_column(str(int(HEAD)))
    return {
        "frontier": c(sa.select(s.tree.c.frontier)),
        "ours": c(sa.select(s.tree.c.id).where(ours)),
        "set_state": c(_set_state()),
        "add_head": c(c.insert_once(s.tree_head, "size")),
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
