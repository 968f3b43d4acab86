"""Hashes that chain the audit's rows, each disclosure's level, and no overwriting on SQLite."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# INSERT OR REPLACE deletes the row that is there without firing a DELETE trigger
REFUSE_OVERWRITING = """
CREATE TRIGGER {table}_no_REPLACE BEFORE INSERT ON {table}
WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""
KEYS = {
    "disclosures": ("seq",),
    "agreement_history": ("seq",),
    "signatures": ("agreement", "version", "ods"),
}


def upgrade() -> None:
    op.add_column("agreement_history", sa.Column("hash", sa.String(length=64), nullable=True))
    op.add_column("disclosures", sa.Column("hash", sa.String(length=64), nullable=True))
    op.add_column(
        "disclosures",
        # everything shown before this was shown by name
        sa.Column("level", sa.String(length=16), nullable=False, server_default="named"),
    )
    op.create_index("disclosures_viewer", "disclosures", ["viewer", "seq"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        for table, keys in KEYS.items():
            same = " AND ".join(f"{key} = NEW.{key}" for key in keys)
            op.execute(REFUSE_OVERWRITING.format(table=table, same=same))
