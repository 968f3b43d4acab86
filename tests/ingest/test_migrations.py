"""The database's form: made from nothing, and brought up from an older one with what is in it."""

import threading
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, select, text

import peerview_ingest
from peerview_ingest import key_versions, migrating
from peerview_ingest.database import make_engine
from peerview_ingest.keyring import KeyVersion
from peerview_ingest.migrating import migrate
from peerview_ingest.plan import Holder, PatientState
from peerview_ingest.store import Store
from peerview_ingest.tables import facts, metadata
from tests.ingest.stores import database_url

__all__ = ["database_url"]

FOLDER = Path(peerview_ingest.__file__).parent / "migrations"
PATIENT, KEY, WORD = b"p" * 16, b"k" * 16, b"w" * 16


def run(engine: Engine, to: str, step: Any = command.upgrade) -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        step(config, to)


def difference(connection: Connection) -> list[Any]:
    options = {"version_table": "ingest_alembic_version", "compare_type": True}
    found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    # comments explain columns to readers of the code alone
    return [each for each in found if "comment" not in str(each[0])]


def fill(engine: Engine) -> None:
    """A practice's rows as the first form had them."""
    holders = PATIENT + (3).to_bytes(4, "big")
    statements = [
        (
            "INSERT INTO facts VALUES (:key, 'A99001', 7, -1, :no, :digest, :content, :holders)",
            {
                "key": KEY,
                "no": False,
                "digest": b"d" * 32,
                "content": b"c" * 16,
                "holders": holders,
            },
        ),
        (
            "INSERT INTO patients VALUES (:key, 'A99001', 3, :yes, :person)",
            {"key": PATIENT, "yes": True, "person": b"n" * 16},
        ),
        (
            "INSERT INTO objection_words VALUES (:fact, :patient, 5, :yes, :no)",
            {"fact": WORD, "patient": PATIENT, "yes": True, "no": False},
        ),
        ("INSERT INTO organisations VALUES ('A99001', 'demo', 'o1', 'A99001')", {}),
        ("INSERT INTO organisations VALUES ('A99001', 'demo', 'o2', 'SMITH')", {}),
        ("INSERT INTO organisations VALUES ('A99001', 'demo', 'Smith', 'A99001')", {}),
        (
            "INSERT INTO idempotency_keys VALUES ('A99001', :key, :key, 202, '{}', 9)",
            {"key": b"i" * 32},
        ),
        ("INSERT INTO sources VALUES ('A99001', 'demo', 9, NULL)", {}),
    ]
    with engine.begin() as connection:
        for statement, values in statements:
            connection.execute(text(statement), values)


def test_from_nothing_it_has_the_form_that_the_code_declares(database_url: str) -> None:
    store = Store(database_url)
    with store.engine.connect() as connection:
        assert difference(connection) == []
    store.close()


def test_what_the_first_form_held_is_kept_and_goes_on(database_url: str) -> None:
    engine = make_engine(database_url)
    run(engine, "0001")
    fill(engine)
    engine.dispose()
    store = Store(database_url)
    with store.engine.connect() as connection:
        assert difference(connection) == []
    with store.turn("A99001", "demo") as turn:
        keys = key_versions.keys_of(turn, b"masterke", 10)
        assert keys.current == KeyVersion(1, b"masterke", 1), "the keys that it had"
        assert turn.organisations() == {"o1": "A99001", "o2": ""}, "and no name"
        known = turn.knowledge([KEY], [], [b"n" * 16])
        assert known.rows[KEY].holders == (Holder(PATIENT, 3),)
        assert (known.rows[KEY].stamp, known.rows[KEY].deleted) == (7, False)
        assert known.patients == {PATIENT: PatientState(3, True, 0)}
        assert not known.patients[PATIENT].uncertain
        assert known.words[PATIENT][WORD][:3] == (5, True, False)
        assert known.persons == {b"n" * 16: {PATIENT}}
        answer = turn.answer(b"i" * 32)
        assert answer is not None
        assert answer.status == 202
        assert key_versions.counts(turn, 1) == (0, 1)
    with store.engine.connect() as connection:
        assert connection.execute(select(facts.c.key_version)).scalar_one() == 1
    store.close()


def test_it_can_be_brought_back_to_the_first_form(database_url: str) -> None:
    engine = make_engine(database_url)
    run(engine, "0001")
    fill(engine)
    run(engine, "head")
    run(engine, "0001", command.downgrade)
    with engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM facts")).one()
        assert (len(row), row.practice) == (8, "A99001")
    run(engine, "head")
    engine.dispose()


def test_a_second_start_changes_nothing(database_url: str) -> None:
    first = Store(database_url)
    first.close()
    again = Store(database_url)
    with again.engine.connect() as connection:
        assert difference(connection) == []
    again.close()


def test_services_that_start_at_once_do_not_meet(database_url: str) -> None:
    failed: list[BaseException] = []

    def start() -> None:
        engine = make_engine(database_url)
        try:
            migrate(engine)
        except BaseException as error:
            failed.append(error)
        finally:
            engine.dispose()

    # SQLite is for one service alone
    threads = [
        threading.Thread(target=start) for _ in range(1 if database_url[:6] == "sqlite" else 4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sqlite:////nowhere/at/all.db", "unable to open database file"),
        ("postgresql+psycopg://peerview:SECRET@127.0.0.1:1/x", "connection failed"),
        ("SECRET", "Could not parse SQLAlchemy URL"),
    ],
)
def test_a_database_that_cannot_be_reached_is_told_in_one_line(
    url: str, why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PEERVIEW_INGEST_DATABASE", url)
    monkeypatch.setenv("PEERVIEW_KAFKA", "127.0.0.1:1")
    assert migrating.main() == 1
    told = capsys.readouterr().err
    assert told.startswith(f"peerview-ingest: PEERVIEW_INGEST_DATABASE: {why}")
    assert told.count("\n") == 1
    assert "SECRET" not in told
