"""Texts of every edit, signatures of every text, keys; how parties stand follows from
the history alone."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

REFUSE_SQLITE = """
CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""
# INSERT OR REPLACE deletes the row that is there without firing a DELETE trigger
REFUSE_OVERWRITING = """
CREATE TRIGGER {table}_no_REPLACE BEFORE INSERT ON {table}
WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""
TRIGGER_POSTGRES = """
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION peerview_append_only()
"""
KEYS = {
    "agreements": ("id", "version", "edit"),
    "signatures": ("seq",),
    "signing_keys": ("seq",),
}


def text(name: str, length: int, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=nullable)


def number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), autoincrement=False, nullable=False)


def sequence() -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    return sa.Column("seq", kind, nullable=False)


def upgrade() -> None:
    op.rename_table("agreements", "former_agreements")
    op.create_table(
        "agreements",
        text("id", 64),
        whole("version"),
        whole("edit"),
        text("network", 64),
        sa.Column("document", sa.Text(), nullable=False),
        text("terms_hash", 64),
        number("created_at"),
        text("created_by", 255),
        sa.PrimaryKeyConstraint("id", "version", "edit", name="agreement_texts_pkey"),
    )
    op.execute(
        "INSERT INTO agreements SELECT id, version, 0, network, document, terms_hash, created_at, "
        "created_by FROM former_agreements"
    )
    op.drop_table("former_agreements")
    op.rename_table("signatures", "former_signatures")
    op.create_table(
        "signatures",
        sequence(),
        text("agreement", 64),
        sa.Column("version", sa.Integer(), nullable=False),
        text("ods", 10),
        text("terms_hash", 64),
        number("signed_at"),
        text("signatory", 255),
        text("name", 255),
        text("role", 64),
        text("public_key", 64, nullable=True),
        text("proof", 128, nullable=True),
        sa.PrimaryKeyConstraint("seq", name="signatures_of_texts_pkey"),
    )
    op.create_index("signatures_agreement", "signatures", ["agreement", "version"], unique=False)
    op.execute(
        "INSERT INTO signatures (agreement, version, ods, terms_hash, signed_at, signatory, name, "
        "role) SELECT agreement, version, ods, terms_hash, signed_at, signatory, name, role "
        "FROM former_signatures ORDER BY signed_at"
    )
    op.drop_table("former_signatures")
    op.create_table(
        "signing_keys",
        sequence(),
        text("ods", 10),
        number("registered_at"),
        text("public_key", 64),
        text("by", 255),
        sa.PrimaryKeyConstraint("seq"),
    )
    # all that it held stands in the history
    op.drop_table("parties")
    sqlite = op.get_bind().dialect.name == "sqlite"
    for table, keys in KEYS.items():
        if sqlite:
            same = " AND ".join(f"{key} = NEW.{key}" for key in keys)
            op.execute(REFUSE_OVERWRITING.format(table=table, same=same))
            for verb in ("UPDATE", "DELETE"):
                op.execute(REFUSE_SQLITE.format(table=table, verb=verb))
        else:
            op.execute(TRIGGER_POSTGRES.format(table=table))
