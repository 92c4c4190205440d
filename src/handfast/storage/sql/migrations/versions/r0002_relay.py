"""What the relay knows of a delivery, and which relays are alive."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for column in (
        sa.Column("state", sa.Text, nullable=False, server_default="waiting"),
        sa.Column("not_before", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("spared", sa.Integer, nullable=False, server_default="0"),
        sa.Column("done", sa.Text, nullable=False, server_default=""),
        sa.Column("error", sa.Text, nullable=False, server_default=""),
    ):
        op.add_column("outbox", column)
    op.create_index("outbox_state", "outbox", ["state", "id"])
    op.create_table(
        "relay_worker",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("beats", sa.BigInteger, nullable=False),
    )
