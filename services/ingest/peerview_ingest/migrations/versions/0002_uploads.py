"""Uploads that can be gone on with, and under which code list things came."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

LIST = sa.String(16)


def upgrade() -> None:
    op.add_column("facts", sa.Column("codes", LIST, nullable=False, server_default=""))
    op.add_column("facts", sa.Column("raised", sa.Integer, nullable=False, server_default="0"))
    op.add_column("sources", sa.Column("first_codes", LIST))
    op.add_column("sources", sa.Column("full_codes", LIST))
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("practice", sa.String(10), nullable=False),
        sa.Column("source", sa.String(100), nullable=False),
        sa.Column("full", sa.Boolean, nullable=False),
        sa.Column("codes", LIST, nullable=False),
        sa.Column("lines", sa.BigInteger),
        sa.Column("next_line", sa.BigInteger, nullable=False),
        sa.Column("accepted", sa.BigInteger, nullable=False),
        sa.Column("rejected", sa.BigInteger, nullable=False),
        sa.Column("dropped", sa.BigInteger, nullable=False),
        sa.Column("unchanged", sa.BigInteger, nullable=False),
        sa.Column("objections", sa.BigInteger, nullable=False),
        sa.Column("opted_in", sa.BigInteger, nullable=False),
        sa.Column("shared_nhs_numbers", sa.BigInteger, nullable=False),
        sa.Column("partition", sa.Integer),
        sa.Column("offset", sa.BigInteger),
        sa.Column("refusals", sa.Integer, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("active", sa.BigInteger, nullable=False),
        sa.Column("completed", sa.BigInteger),
        sa.Column("backfill", sa.Boolean, nullable=False),
        sa.Column("holder", sa.String(36)),
        sa.Column("held_until", sa.BigInteger, nullable=False),
    )
    op.create_index("uploads_active", "uploads", ["active"])
    op.create_index("uploads_source", "uploads", ["practice", "source"])
    op.create_table(
        "upload_refusals",
        sa.Column("upload", sa.String(36), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("line", sa.BigInteger, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("code", sa.String(50), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("upload_refusals")
    op.drop_table("uploads")
    for table, column in (
        ("sources", "full_codes"),
        ("sources", "first_codes"),
        ("facts", "raised"),
        ("facts", "codes"),
    ):
        with op.batch_alter_table(table) as batch:
            batch.drop_column(column)
