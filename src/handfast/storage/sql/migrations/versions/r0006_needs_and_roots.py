"""What waits is ordered by what it needs of a person, and every row says the repository it belongs to.

The rank of a handoff that waits is ten times the place of its need (judge, stamp, route, later, blocked) and
the rank of its risk. Reviews of finished work that wait are found by a word of their own. Sessions of people
rank behind the runs that a runner may take.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_MEMBER = {
    "sqlite": "json_extract(CAST({}doc AS TEXT), '$.{}')",
    "postgresql": "(convert_from({}doc, 'UTF8')::json ->> '{}')",
}
_NONE_OFFERED = {
    "sqlite": "json_array_length(CAST(doc AS TEXT), '$.offered')",
    "postgresql": "json_array_length(convert_from(doc, 'UTF8')::json -> 'offered')",
}
_TRUE = {"sqlite": "1", "postgresql": "'true'"}
_WAITS = "kind = 'handoff' AND status IN ('requested', 'routed', 'acknowledged')"
_RISKS = "WHEN 'high' THEN 1 WHEN 'medium' THEN 2 WHEN 'low' THEN 3 ELSE 0"


def upgrade() -> None:
    name = op.get_bind().dialect.name
    text = sa.Text(collation="C") if name == "postgresql" else sa.Text()
    op.add_column("state", sa.Column("root", text))
    _roots(name)
    _needs(name)
    command = _MEMBER[name].format("", "command")
    op.execute(f"UPDATE state SET rank = 1 WHERE kind = 'run' AND {command} IS NULL")  # noqa: S608 - constants
    where = sa.text("root IS NOT NULL")
    op.create_index(
        "state_root",
        "state",
        ["kind", "status", "root", "opened", "rank"],
        sqlite_where=where,
        postgresql_where=where,
    )


def _needs(name: str) -> None:
    def member(field: str) -> str:
        return _MEMBER[name].format("", field)

    need = (
        f"CASE WHEN {member('frozen_at')} IS NOT NULL THEN 40 "
        f"WHEN coalesce({_NONE_OFFERED[name]}, 0) = 0 THEN 40 "
        f"WHEN {member('deferral')} IS NOT NULL THEN 30 "
        f"WHEN {member('kind')} IN ('takeover', 'delegation') THEN 20 "
        f"WHEN {member('kind')} = 'approval' AND {member('may_proceed')} = {_TRUE[name]} "
        f"AND {member('edit')} IS NULL THEN 10 ELSE 0 END"
    )
    op.execute(
        f"UPDATE state SET rank = {need} + CASE {member('risk')} {_RISKS} END WHERE {_WAITS}"  # noqa: S608 - constants
    )
    op.execute(
        f"UPDATE state SET \"match\" = 'finished-work' WHERE {_WAITS} "  # noqa: S608 - constants
        f"AND {member('kind')} = 'review' AND \"match\" <> 'override-review'"
    )


def _roots(name: str) -> None:
    """Of runs and tasks out of their documents, then of handoffs by what they belong to."""

    def member(field: str) -> str:
        return _MEMBER[name].format("", field)

    op.execute(
        f"UPDATE state SET root = coalesce(nullif({member('repository')}, ''), {member('cwd')}, '') "  # noqa: S608 - constants
        "WHERE kind IN ('run', 'task')"
    )
    other = "coalesce((SELECT o.root FROM state AS o WHERE o.stream = {}), '')"
    op.execute(
        f"UPDATE state SET root = CASE WHEN run_id <> '' THEN {other.format(_joined('run', 'state.run_id'))} "  # noqa: S608 - constants
        f"ELSE {other.format(_joined('task', 'state.task_id'))} END WHERE kind = 'handoff'"
    )
    about = other.format(_joined("handoff", _MEMBER[name].format("state.", "about")))
    op.execute(
        f"UPDATE state SET root = {about} WHERE kind = 'handoff' AND run_id = '' AND task_id = ''"  # noqa: S608 - constants
    )


def _joined(kind: str, column: str) -> str:
    return f"'{kind}/' || {column}"
