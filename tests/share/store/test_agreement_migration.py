"""Agreements of a database from before texts were kept by edit stand as they stood."""

import json

import pytest
from alembic import command
from sqlalchemy import text

from peerview_share.agreements.document import Agreement
from peerview_share.agreements.life import Status, statuses
from peerview_share.store import agreements as store
from peerview_share.store.database import Database, _alembic
from tests.share.support import START, document

A, B, C = "A99001", "A99002", "A99003"


@pytest.fixture(params=["sqlite", "postgres"])
def former(request, tmp_path):
    """A database with the tables of revision 0004."""
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path}/former.db")
    else:
        database = request.getfixturevalue("empty_postgres")
    config = _alembic()
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
    yield database
    database.close()


def insert(connection, table, **values):
    names = ", ".join(f'"{name}"' for name in values)
    places = ", ".join(f":{name}" for name in values)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)


def test_they_stand_as_they_stood(former):
    parsed = Agreement.model_validate(document(A, B, C))
    key = {"agreement": parsed.id, "version": 1}
    with former.write() as connection:
        insert(
            connection, "agreements", id=parsed.id, version=1, network="north",
            document=json.dumps(parsed.plain()), terms_hash="f" * 64, created_at=START,
            created_by="x",
        )  # fmt: skip
        happened = [("proposed", A, {})]
        happened += [("signed", code, {"terms": "f" * 64}) for code in (A, B, C)]
        happened += [
            ("limited", B, {"limits": '{"mode": "anonymous", "perIndicator": {}}'}),
            ("suspended", B, {}),
            ("resumed", B, {}),
            ("withdrawn", C, {}),
        ]
        for number, (event, code, detail) in enumerate(happened):
            insert(
                connection, "agreement_history", **key, event=event, ods=code, by="x",
                at=START + number, detail=json.dumps(detail), revision=number + 1,
            )  # fmt: skip
        for code in (A, B, C):
            insert(
                connection, "signatures", **key, ods=code, signatory="x", name="X", role="y",
                terms_hash="f" * 64, signed_at=START + 1,
            )  # fmt: skip
    former.migrate()
    with former.read() as connection:
        (record,) = store.records(connection)
        assert [s["practice"] for s in store.signatures(connection, parsed.id, 1)] == [A, B, C]
    assert statuses([record], START + 100)[record.key] is Status.ACTIVE
    assert record.terms_hash == "f" * 64, "what was signed, whatever today's code makes of it"
    assert record.party(B).limits.mode == "anonymous"
    assert record.party(C).withdrawn_at == START + 7
