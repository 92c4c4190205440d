"""Which rows somebody may know of, as a condition: those whose task or run is of a repository they see.

The repository is read out of the document of the run or the task, found by its key: what nobody asks for with
a limited sight costs nothing, and rows written before projects existed are judged like all others.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from handfast.core.domain.project import Sight
from handfast.storage.sql import schema as s


class _Member(FunctionElement[str]):
    """A text member of a document; '' where it has none."""

    type = sa.Text()
    inherit_cache = True


@compiles(_Member, "sqlite")
def _of_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    doc, name = (compiler.process(c, **kw) for c in element.clauses)
    return f"coalesce(json_extract(CAST({doc} AS TEXT), '$.' || {name}), '')"


@compiles(_Member, "postgresql")
def _of_postgres(element: Any, compiler: Any, **kw: Any) -> str:
    doc, name = (compiler.process(c, **kw) for c in element.clauses)
    return f"coalesce(convert_from({doc}, 'UTF8')::json ->> {name}, '')"


def parameters(sight: Sight | None) -> dict[str, object]:
    """What the condition of this sight is bound to."""
    if sight is None:
        return {}
    only = {f"only_{i}": r for i, r in enumerate(sight.only)}
    return {**only, **{f"beyond_{i}": r for i, r in enumerate(sight.beyond or ())}}


def known(kind: str, sight: Sight) -> sa.ColumnElement[bool]:
    """For rows of this kind in a statement on `state`. Of kinds that belong to no repository, none."""
    if kind in ("run", "task"):
        return _covers(_root(s.state.c.doc), sight)
    if kind != "handoff":
        return sa.false()
    owner = s.state.alias("owner")
    other = s.state.alias(
        "other"
    )  # a review of an override belongs to no run: the other handoff does
    about = _words("'handoff/'") + _Member(s.state.c.doc, _words("'about'"))
    its_run = sa.select(other.c.run_id).where(other.c.stream == about).scalar_subquery()
    stream = sa.case(
        (s.state.c.run_id != _words("''"), _words("'run/'") + s.state.c.run_id),
        (s.state.c.task_id != _words("''"), _words("'task/'") + s.state.c.task_id),
        else_=_words("'run/'") + sa.func.coalesce(its_run, _words("''")),
    )
    root = sa.select(_root(owner.c.doc)).where(owner.c.stream == stream).scalar_subquery()
    return _covers(sa.func.coalesce(root, _words("''")), sight)


def _root(doc: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """As `Run.root` says: the repository, for a session without one its folder."""
    repository = sa.func.nullif(_Member(doc, _words("'repository'")), _words("''"))
    return sa.func.coalesce(repository, _Member(doc, _words("'cwd'")))


def _covers(root: sa.ColumnElement[str], sight: Sight) -> sa.ColumnElement[bool]:
    """As `Sight.covers` says."""
    seen = _any(root, "only", len(sight.only))
    if sight.beyond is None:
        return seen
    return sa.or_(seen, sa.not_(_any(root, "beyond", len(sight.beyond))))


def _any(root: sa.ColumnElement[str], name: str, number: int) -> sa.ColumnElement[bool]:
    found: list[sa.ColumnElement[bool]] = []
    for i in range(number):
        given = sa.bindparam(f"{name}_{i}", type_=sa.Text)
        below = given + _words("'/'")
        found += [root == given, sa.func.substr(root, _words("1"), sa.func.length(below)) == below]
    return sa.or_(*found) if found else sa.false()


def _words(sql: str) -> sa.ColumnElement[Any]:
    return sa.literal_column(sql, sa.Integer if sql.isdigit() else sa.Text)
