"""The tables are what the migrations make, and the audit cannot be rewritten."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from peerview_share.store import schema
from peerview_share.store.database import upsert


def test_migrations_make_the_tables_that_the_code_expects(database):
    with database.read() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, schema.metadata) == []


def test_migrating_twice_changes_nothing(database):
    database.migrate()
    with database.read() as connection:
        assert connection.execute(select(schema.state.c.revision)).all() == [(0,)]


AUDIT = {
    "at": 1,
    "subject": "A99002",
    "viewer": "A99001",
    "network": "north",
    "epoch": 1,
    "indicators": "[]",
    "agreement": "a",
    "agreement_version": 1,
    "reader": "dr",
    "channel": "api",
    "level": "named",
}


@pytest.mark.parametrize("change", ["update", "delete"])
def test_the_audit_is_append_only(database, change):
    with database.write() as connection:
        connection.execute(schema.disclosures.insert(), AUDIT)
    statement = getattr(schema.disclosures, change)()
    if change == "update":
        statement = statement.values(viewer="A99009")
    with pytest.raises(DBAPIError, match="append-only"), database.write() as connection:
        connection.execute(statement)


def test_an_upsert_never_goes_back(database):
    def put(offset, body):
        row = {"practice": "A99001", "indicator": "dna", "partition": 0}
        with database.write() as connection:
            upsert(
                connection,
                schema.live_values,
                [row | {"offset": offset, "body": body}],
                update=("body", "offset"),
                newer="offset",
            )

    put(5, b"five")
    put(3, b"three")
    with database.read() as connection:
        assert connection.execute(select(schema.live_values.c.body)).scalar_one() == b"five"
    put(9, b"nine")
    with database.read() as connection:
        assert connection.execute(select(schema.live_values.c.body)).scalar_one() == b"nine"


def test_a_failed_transaction_leaves_nothing(database):
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        connection.execute(schema.disclosures.insert(), AUDIT)
        raise ZeroDivisionError
    with database.read() as connection:
        assert connection.execute(select(schema.disclosures)).all() == []
