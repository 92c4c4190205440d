"""An index for the newest of a status: the last decided cases among a million."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("state_recent", "state", ["kind", "status", "opened"])
