"""Versions of a practice's keys, re-keying, reserved generations, and who asked for pseudonyms."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # added in place, with a default: a table of millions of rows is not written anew
    op.add_column("facts", sa.Column("key_version", sa.Integer, nullable=False, server_default="1"))
    op.add_column(
        "patients", sa.Column("key_version", sa.Integer, nullable=False, server_default="1")
    )
    op.add_column("patients", sa.Column("reserved", sa.Integer, nullable=False, server_default="0"))
    op.create_index("patients_practice", "patients", ["practice", "key_version"])
    op.add_column(
        "objection_words", sa.Column("kind", sa.SmallInteger, nullable=False, server_default="0")
    )
    op.create_table(
        "key_versions",
        sa.Column("practice", sa.String(10), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("master", sa.LargeBinary(8), nullable=False),
        sa.Column("first_generation", sa.Integer, nullable=False),
        sa.Column("phase", sa.String(10), nullable=False),
        sa.Column("began", sa.BigInteger, nullable=False),
        sa.Column("ended", sa.BigInteger),
        sa.Column("emptied", sa.Integer, nullable=False, server_default="0"),
        sa.Column("joined", sa.Integer, nullable=False, server_default="0"),
    )
    op.create_table(
        "rekeyed_patients",
        sa.Column("old", sa.LargeBinary(16), primary_key=True),
        sa.Column("practice", sa.String(10), nullable=False),
        sa.Column("new", sa.LargeBinary(16), nullable=False),
        sa.Column("by_id", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("rekeyed_patients_practice", "rekeyed_patients", ["practice"])
    op.create_index("rekeyed_patients_new", "rekeyed_patients", ["new"])
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("practice", sa.String(10), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("patients", sa.Integer, nullable=False),
    )
    op.create_index("audit_practice", "audit", ["practice", "at"])


def downgrade() -> None:
    op.drop_table("audit")
    op.drop_table("rekeyed_patients")
    op.drop_table("key_versions")
    op.drop_column("objection_words", "kind")
    op.drop_index("patients_practice", "patients")
    op.drop_column("patients", "reserved")
    op.drop_column("patients", "key_version")
    op.drop_column("facts", "key_version")
