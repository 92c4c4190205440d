"""Which rows somebody may know of: those of a repository that they see.

Of runs, tasks and handoffs the row itself says which that is. Somebody who sees a few repositories gets what is
theirs from an index, whatever else waits; for any other sight the rows are walked in their order.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from handfast.core.domain.project import Sight
from handfast.storage.sql import schema as s

BELONGING = ("run", "task", "handoff")
MAX_PICKED = 12  # repositories; each takes two look-ups a status
_AFTER_SLASH = "0"  # the character behind it


def parameters(sight: Sight | None) -> dict[str, object]:
    """What the condition of this sight is bound to."""
    if sight is None:
        return {}
    only = {f"only_{i}": r for i, r in enumerate(outermost(sight))}
    return {**only, **{f"beyond_{i}": r for i, r in enumerate(sight.beyond or ())}}


def outermost(sight: Sight) -> tuple[str, ...]:
    """The repositories of a sight without those within another: then no row is within two."""
    return tuple(
        r for r in sight.only if not Sight(tuple(o for o in sight.only if o != r)).covers(r)
    )


def picked(sight: Sight | None) -> bool:
    """Whether what this sight covers is picked from the index by repository."""
    return sight is not None and sight.beyond is None and len(sight.only) <= MAX_PICKED


def known(kind: str, sight: Sight) -> sa.ColumnElement[bool]:
    """For rows of this kind in a statement on `state`. Of kinds that belong to no repository, none."""
    if kind not in BELONGING:
        return sa.false()
    seen = sa.or_(sa.false(), *branches(sight))
    if sight.beyond is None:
        return seen
    beyond = (_within(f"beyond_{i}") for i in range(len(sight.beyond)))
    return sa.or_(seen, sa.not_(sa.or_(sa.false(), *(c for both in beyond for c in both))))


def branches(sight: Sight) -> Iterator[sa.ColumnElement[bool]]:
    """Conditions of which a row of what `only` names meets exactly one."""
    for i in range(len(outermost(sight))):
        yield from _within(f"only_{i}")


def _within(name: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    """In the repository itself; in a folder below it."""
    root, given = s.state.c.root, sa.bindparam(name, type_=sa.Text)
    below = sa.and_(root >= given + _words("/"), root < given + _words(_AFTER_SLASH))
    return root == given, below


def _words(text: str) -> sa.ColumnElement[Any]:
    return sa.literal_column(f"'{text}'", sa.Text)
