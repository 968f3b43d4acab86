"""The index of facts, patients and what they said, and what goes with them."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "facts",
        sa.Column("key", sa.LargeBinary(16), primary_key=True),
        sa.Column("practice", sa.String(10), nullable=False),
        sa.Column("stamp", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("content", sa.LargeBinary(16), nullable=False),
        sa.Column("holders", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("facts_holders", "facts", ["holders"])
    op.create_table(
        "patients",
        sa.Column("key", sa.LargeBinary(16), primary_key=True),
        sa.Column("practice", sa.String(10), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("objected", sa.Boolean, nullable=False),
        sa.Column("person", sa.LargeBinary(16)),
        sqlite_with_rowid=False,
    )
    op.create_index("patients_person", "patients", ["person"])
    op.create_table(
        "objection_words",
        sa.Column("fact", sa.LargeBinary(16), primary_key=True),
        sa.Column("patient", sa.LargeBinary(16), nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("dissent", sa.Boolean, nullable=False),
        sa.Column("withdrawn", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("objection_words_patient", "objection_words", ["patient"])
    op.create_table(
        "organisations",
        sa.Column("practice", sa.String(10), primary_key=True),
        sa.Column("source", sa.String(100), primary_key=True),
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("ods", sa.String(20), nullable=False),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("practice", sa.String(10), primary_key=True),
        sa.Column("key", sa.LargeBinary(32), primary_key=True),
        sa.Column("request", sa.LargeBinary(32), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_index("idempotency_keys_at", "idempotency_keys", ["at"])
    op.create_table(
        "sources",
        sa.Column("practice", sa.String(10), primary_key=True),
        sa.Column("source", sa.String(100), primary_key=True),
        sa.Column("data_through", sa.BigInteger, nullable=False),
        sa.Column("last_extract", sa.String(10)),
    )


def downgrade() -> None:
    for name in (
        "sources",
        "idempotency_keys",
        "organisations",
        "objection_words",
        "patients",
        "facts",
    ):
        op.drop_table(name)
