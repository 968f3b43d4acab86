"""What stricter agreements go by, kept with each release from now on.

Earlier releases have none: stricter agreements do not show them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("cells", sa.Column("reach", sa.Integer(), nullable=True))
    op.add_column("cells", sa.Column("patients", sa.Integer(), nullable=True))
    op.add_column("epochs", sa.Column("oldest_day", sa.Integer(), nullable=True))
