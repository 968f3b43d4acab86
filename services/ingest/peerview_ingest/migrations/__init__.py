"""Alembic's migrations of ingest's database; run at start."""
