"""Versions of a practice's keys, re-keying, reserved generations, and who asked for pseudonyms."""

import re

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


MACHINE_MADE = re.compile(
    r"[A-Za-z]?[0-9](-*[0-9]){0,8}|[0-9A-Fa-f]{16,64}"
    r"|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
)


def upgrade() -> None:
    _forget_names()
    # added in place, with a default: a table of millions of rows is not written anew
    op.add_column("facts", sa.Column("key_version", sa.Integer, nullable=False, server_default="1"))
    op.add_column(
        "patients", sa.Column("key_version", sa.Integer, nullable=False, server_default="1")
    )
    for name in ("extract_facts", "sources"):
        version = sa.Column("key_version", sa.Integer, nullable=False, server_default="1")
        op.add_column(name, version)
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
    for name in ("sources", "extract_facts", "facts"):
        op.drop_column(name, "key_version")


def _forget_names() -> None:
    """Ids of organisations are kept as keyed hashes from now on, unless a machine made them; the
    others come again with the organisations."""
    places = sa.table(
        "organisations",
        sa.column("practice"),
        sa.column("source"),
        sa.column("id"),
        sa.column("ods"),
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(places)).all():
        if not MACHINE_MADE.fullmatch(row.id):
            mine = (places.c.practice == row.practice) & (places.c.source == row.source)
            connection.execute(sa.delete(places).where(mine & (places.c.id == row.id)))
    elsewhere = sa.update(places).where(places.c.ods != places.c.practice).values(ods="")
    connection.execute(elsewhere)
