"""The log of releases, and no rewriting of what else of releases is never changed."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

REFUSE_SQLITE = """
CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""
# INSERT OR REPLACE deletes the row that is there without firing a DELETE trigger. Ignored, not
# refused: some of these are written again by whoever repeats a request, and stay as they were
IGNORE_OVERWRITING = """
CREATE TRIGGER {table}_no_REPLACE BEFORE INSERT ON {table}
WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})
BEGIN SELECT RAISE(IGNORE); END
"""
TRIGGER_POSTGRES = """
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION peerview_append_only()
"""
KEYS = {
    "releases": ("seq",),
    "retractions": ("practice", "indicator", "epoch"),
    "successions": ("successor", "predecessor"),
    "derived_sets": ("network", "viewer", "indicator", "epoch"),
    "attacks": ("seq",),
}


def upgrade() -> None:
    op.create_table(
        "releases",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("practice", sa.String(length=10), nullable=False),
        sa.Column("rules", sa.String(length=16), nullable=False),
        sa.Column("cells", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("releases_epoch", "releases", ["epoch", "practice"], unique=True)
    for table, keys in KEYS.items():
        if op.get_bind().dialect.name == "sqlite":
            for verb in ("UPDATE", "DELETE"):
                op.execute(REFUSE_SQLITE.format(table=table, verb=verb))
            same = " AND ".join(f"{key} = NEW.{key}" for key in keys)
            op.execute(IGNORE_OVERWRITING.format(table=table, same=same))
        else:
            op.execute(TRIGGER_POSTGRES.format(table=table))
