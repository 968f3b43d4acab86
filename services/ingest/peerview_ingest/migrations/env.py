"""Alembic's entry: runs on the connection that the store hands over."""

from alembic import context

from peerview_ingest.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="ingest_alembic_version",
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
