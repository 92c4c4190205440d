"""The statement for a look-up of state rows, so shaped that an index gives both the rows and their order.

What may be long is never sorted: the rows of each status come from an index in order, no more of them than
the page holds, and only those are merged. What belongs to one run, task or match is sorted: it is short.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa

from handfast.core.domain.project import Sight
from handfast.storage.api import Query
from handfast.storage.sql import schema as s
from handfast.storage.sql.known import BELONGING, branches, known, picked

# The indexes on these leave empty values out, and are used only when the statement says so too.
_INDEXED_UNLESS_EMPTY = frozenset({"task_id", "run_id", "match"})
Columns: TypeAlias = Any  # a table's or a sub-select's: the library gives them unrelated types
EQUAL = ("task_id", "run_id", "agent_id", "match")
_NO_OFFSET: sa.ColumnElement[int] = sa.literal_column("0")


def select(q: Query) -> sa.ClauseElement:
    """Parameters: `kind`, `limit`, the fields that are set, `status_0` and on, `due_before`, `after_rank`,
    `after_opened`."""
    narrow = any(getattr(q, name) for name in ("task_id", "run_id", "match"))
    if q.statuses and not narrow and q.due_before is None:
        if q.kind in BELONGING and picked(q.within) and not q.agent_id:
            return _picked(q)
        if len(q.statuses) > 1:
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


def _picked(q: Query) -> sa.Select[Any]:
    """Chosen from the index by repository and status; only the chosen rows are read."""
    c = s.state.c
    pages = [
        sa.select(
            _page(
                _of_index(q, i, branch).order_by(*_order(q, c, in_memory=not q.newest_first))
            ).subquery(f"of_{i}_{n}")
        )
        for i in range(len(q.statuses))
        for n, branch in enumerate(branches(q.within or Sight()))
    ]
    if not pages:
        return _page(_where(q, ()))
    every = sa.union_all(*pages).subquery("every")
    chosen = _page(sa.select(every.c.opened).order_by(*_order(q, every.c))).subquery("chosen")
    theirs = c.opened.in_(sa.select(chosen.c.opened))
    kind = c.kind == sa.bindparam("kind", type_=sa.Text)
    return _page(sa.select(s.state).where(kind, theirs).order_by(*_order(q, c, in_memory=True)))


def _of_index(q: Query, status: int, branch: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Order and place of one status within one repository: all of it stands in the index."""
    c = s.state.c
    stmt = sa.select(c.rank, c.opened).where(*_of_status(status), branch)
    if q.undated:
        stmt = stmt.where(c.due_at.is_(None))
    return stmt if q.after is None else stmt.where(_beyond(q, in_memory=not q.newest_first))


def _of_status(status: int) -> Iterator[sa.ColumnElement[bool]]:
    yield s.state.c.kind == sa.bindparam("kind", type_=sa.Text)
    yield s.state.c.status == sa.bindparam(f"status_{status}", type_=sa.Text)


def _page(stmt: sa.Select[Any]) -> sa.Select[Any]:
    return stmt.limit(sa.bindparam("limit", type_=sa.Integer)).offset(_NO_OFFSET)


def _order(
    q: Query, c: Columns, *, found_by_other: bool = False, in_memory: bool = False
) -> Sequence[sa.ColumnElement[Any]]:
    """`found_by_other`: the rows come from an index on something else; without the sum a planner that
    knows no figures walks every row of the kind in this order instead. `in_memory`: they are few."""
    zero: sa.ColumnElement[int] = sa.literal_column("0")
    if not q.newest_first:
        return (c.rank + zero, c.opened + zero) if in_memory else (c.rank, c.opened)
    opened = c.opened + zero if found_by_other or in_memory else c.opened
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


def ranks(sight: Sight | None, kind: str) -> sa.ClauseElement:
    """Rank and number of rows, a rank maybe several times. Parameters: `kind`, `status_0`, and those of `known`."""
    rank = s.state.c.rank
    stmt = sa.select(rank, sa.func.count()).where(*_of_status(0))
    if sight is None:
        return stmt.group_by(rank)
    if kind in BELONGING and picked(sight):
        found = [stmt.where(branch).group_by(rank) for branch in branches(sight)]
        return sa.union_all(*found) if found else stmt.where(sa.false()).group_by(rank)
    return stmt.where(known(kind, sight)).group_by(rank)


def begun() -> sa.Select[Any]:
    """Parameters: `kind`, `match`."""
    c = s.state.c
    return (
        sa.select(c.opened)
        .where(
            c.kind == sa.bindparam("kind", type_=sa.Text),
            c.match == sa.bindparam("match", type_=sa.Text),
            c.match != sa.literal_column("''"),
        )
        .order_by(c.opened)
    )


def _beyond(q: Query, *, in_memory: bool = False) -> sa.ColumnElement[bool]:
    """Rows after the last one of a page, in the order of the page."""
    c = s.state.c
    opened = sa.bindparam("after_opened", type_=sa.BigInteger)
    if q.newest_first:
        return c.opened < opened
    rank = sa.bindparam("after_rank", type_=sa.Integer)
    return sa.tuple_(*_order(q, c, in_memory=in_memory)) > sa.tuple_(rank, opened)
