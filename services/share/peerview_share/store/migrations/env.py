"""Alembic's entry point: runs on the connection that `Database.migrate` hands over."""

from alembic import context

from peerview_share.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
)
context.run_migrations()
