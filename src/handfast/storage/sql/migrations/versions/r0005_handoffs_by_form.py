"""Handoffs are found by the form of their call, no longer by its whole digest: one look-up gives those about
equal calls and those about the same words over other operands.

Only a look-up column changes. A handoff without a form keeps what it has.
"""

from alembic import op

revision = "0005"
down_revision = "0004"

_FORM = {
    "sqlite": "json_extract(CAST(doc AS TEXT), '$.form_digest')",
    "postgresql": "(convert_from(doc, 'UTF8')::json ->> 'form_digest')",
}


def upgrade() -> None:
    form = _FORM[op.get_bind().dialect.name]
    op.execute(
        f"UPDATE state SET \"match\" = run_id || '|' || {form} "  # noqa: S608 - constants
        f"WHERE kind = 'handoff' AND \"match\" <> 'override-review' AND {form} IS NOT NULL"
    )
