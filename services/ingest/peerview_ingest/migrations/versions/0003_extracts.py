"""Drops of delimited files, and which of them last held what."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "extracts",
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("practice", sa.String(10), nullable=False),
        sa.Column("source", sa.String(100), nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("mode", sa.String(5), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("mapping", sa.String(80), nullable=False),
        sa.Column("codes", sa.String(12), nullable=False),
        sa.Column("began", sa.BigInteger, nullable=False),
        sa.Column("ended", sa.BigInteger),
        sa.Column("report", sa.Text, nullable=False),
        sa.Column("decided_by", sa.String(200)),
        sa.Column("decided", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_index("extracts_source", "extracts", ["practice", "source"])
    op.create_table(
        "extract_facts",
        sa.Column("key", sa.LargeBinary(16), primary_key=True),
        sa.Column("practice", sa.String(10), nullable=False),
        sa.Column("source", sa.String(100), nullable=False),
        sa.Column("type", sa.Integer, nullable=False),
        sa.Column("id", sa.LargeBinary, nullable=False),
        sa.Column("patient", sa.LargeBinary(16), nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("extract_facts_source", "extract_facts", ["practice", "source", "type", "key"])
    op.create_index("extract_facts_patient", "extract_facts", ["patient"])


def downgrade() -> None:
    op.drop_table("extract_facts")
    op.drop_table("extracts")
