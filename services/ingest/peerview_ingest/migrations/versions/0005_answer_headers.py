"""The headers of a remembered answer: whoever repeats a request needs its Location and ETag too."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "idempotency_keys", sa.Column("headers", sa.Text, nullable=False, server_default="{}")
    )


def downgrade() -> None:
    op.drop_column("idempotency_keys", "headers")
