"""Kept snapshots over rosters, accounts and holds of previews, retractions, mergers, sets."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "snapshots",
        sa.Column("form", sa.String(length=8), nullable=False, server_default="arrived"),
    )
    op.create_table(
        "rosters",
        sa.Column("practice", sa.String(length=10), nullable=False),
        sa.Column("cut", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("patients", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("practice", "cut"),
    )
    op.create_table(
        "accounts",
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("practice", sa.String(length=10), nullable=False),
        sa.Column("indicator", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("epoch", "practice", "indicator"),
    )
    op.create_table(
        "holds",
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("practice", sa.String(length=10), nullable=False),
        sa.Column("indicator", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("numerator", sa.BigInteger(), nullable=True),
        sa.Column("denominator", sa.BigInteger(), nullable=True),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=255), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(length=255), nullable=True),
        sa.PrimaryKeyConstraint("epoch", "practice", "indicator", "kind"),
    )
    op.create_index("holds_practice", "holds", ["practice", "epoch"], unique=False)
    op.create_table(
        "retractions",
        sa.Column("practice", sa.String(length=10), nullable=False),
        sa.Column("indicator", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("practice", "indicator", "epoch"),
    )
    op.create_table(
        "successions",
        sa.Column("successor", sa.String(length=10), nullable=False),
        sa.Column("predecessor", sa.String(length=10), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("successor", "predecessor"),
    )
    op.create_table(
        "derived_sets",
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.Column("viewer", sa.String(length=10), nullable=False),
        sa.Column("indicator", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("members", sa.Text(), nullable=False),
        sa.Column("cells_epoch", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("network", "viewer", "indicator", "epoch"),
    )
    op.create_index("derived_sets_viewer", "derived_sets", ["viewer", "indicator"], unique=False)
