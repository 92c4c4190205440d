"""The statement for a look-up of state rows, so shaped that an index gives both the rows and their order.

What may be long is never sorted: the rows of each status come from an index in order, no more of them than
the page holds, and only those are merged. What belongs to one run, task or match is sorted: it is short.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa

from handfast.core.domain.project import Sight
from handfast.storage.api import Query
from handfast.storage.sql import schema as s
from handfast.storage.sql.known import known

# The indexes on these leave empty values out, and are used only when the statement says so too.
_INDEXED_UNLESS_EMPTY = frozenset({"task_id", "run_id", "match"})
Columns: TypeAlias = Any  # a table's or a sub-select's: the library gives them unrelated types
EQUAL = ("task_id", "run_id", "agent_id", "match")
_NO_OFFSET: sa.ColumnElement[int] = sa.literal_column("0")


def select(q: Query) -> sa.ClauseElement:
    """Parameters: `kind`, `limit`, the fields that are set, `status_0` and on, `due_before`, `after_rank`,
    `after_opened`."""
    narrow = any(getattr(q, name) for name in ("task_id", "run_id", "match"))
    if len(q.statuses) > 1 and not narrow and q.due_before is None:
        return _merged(q)
    stmt = _where(q, range(len(q.statuses)))
    if q.due_before is not None:
        stmt = stmt.order_by(s.state.c.due_at, s.state.c.rank, s.state.c.opened)
    else:
        stmt = stmt.order_by(*_order(q, s.state.c, found_by_other=narrow and not q.match))
    return _page(stmt)


def _merged(q: Query) -> sa.Select[Any]:
    """A page of each status, from one index in order, and the page of those."""
    pages = [
        sa.select(_page(_where(q, [i]).order_by(*_order(q, s.state.c))).subquery(f"status_{i}"))
        for i in range(len(q.statuses))
    ]
    every = sa.union_all(*pages).subquery("every")
    return _page(sa.select(every).order_by(*_order(q, every.c)))


def _page(stmt: sa.Select[Any]) -> sa.Select[Any]:
    return stmt.limit(sa.bindparam("limit", type_=sa.Integer)).offset(_NO_OFFSET)


def _order(
    q: Query, c: Columns, *, found_by_other: bool = False
) -> Sequence[sa.ColumnElement[Any]]:
    """`found_by_other`: the rows come from an index on something else; without the sum a planner that
    knows no figures walks every row of the kind in this order instead."""
    if not q.newest_first:
        return c.rank, c.opened
    opened = c.opened + sa.literal_column("0") if found_by_other else c.opened
    return (opened.desc(),)


def _where(q: Query, statuses: Sequence[int]) -> sa.Select[Any]:
    c = s.state.c
    stmt = sa.select(s.state).where(c.kind == sa.bindparam("kind", type_=sa.Text))
    for name in EQUAL:
        if getattr(q, name):
            stmt = stmt.where(c[name] == sa.bindparam(name, type_=sa.Text))
            if name in _INDEXED_UNLESS_EMPTY:
                stmt = stmt.where(c[name] != sa.literal_column("''"))
    if statuses:
        binds = [sa.bindparam(f"status_{i}", type_=sa.Text) for i in statuses]
        stmt = stmt.where(sa.or_(*[c.status == b for b in binds]))
    if q.undated:
        stmt = stmt.where(c.due_at.is_(None))
    if q.due_before is not None:
        stmt = stmt.where(c.due_at <= sa.bindparam("due_before", type_=sa.BigInteger))
    if q.within is not None:
        stmt = stmt.where(known(q.kind, q.within))
    return stmt if q.after is None else stmt.where(_beyond(q))


def count(sight: Sight | None, kind: str) -> sa.Select[Any]:
    """Parameters: `kind`, `status`, and those of `known`."""
    c = s.state.c
    stmt = sa.select(sa.func.count()).where(
        c.kind == sa.bindparam("kind", type_=sa.Text),
        c.status == sa.bindparam("status", type_=sa.Text),
    )
    return stmt if sight is None else stmt.where(known(kind, sight))


def _beyond(q: Query) -> sa.ColumnElement[bool]:
    """Rows after the last one of a page, in the order of the page."""
    c = s.state.c
    opened = sa.bindparam("after_opened", type_=sa.BigInteger)
    if q.newest_first:
        return c.opened < opened
    rank = sa.bindparam("after_rank", type_=sa.Integer)
    return sa.tuple_(c.rank, c.opened) > sa.tuple_(rank, opened)
