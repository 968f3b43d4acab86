"""The service's role may add to the audit and read it, nothing else; on SQLite triggers refuse."""

import contextlib
import uuid

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from peerview_common.settings import Mode
from peerview_share import main
from peerview_share.api.app import create_app
from peerview_share.store import rights, schema
from peerview_share.store.database import Database, MigrationNeededError
from tests.share.support import Clock, World, document, patients, settings

A, B, C = "A99001", "A99002", "A99003"
AUDIT = [table.name for table in schema.append_only()]


@pytest.fixture
def lesser_url(postgres_database):
    """The test's database, as a role of its own without any right."""
    role = f"service-{uuid.uuid4().hex[:12]}"
    admin = create_engine(postgres_database.url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'lesser'"))
    url = make_url(postgres_database.url).set(username=role, password="lesser")
    yield url.render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f'DROP OWNED BY "{role}"'))
        connection.execute(text(f'DROP ROLE "{role}"'))
    admin.dispose()


@pytest.fixture
def lesser(postgres_database, lesser_url):
    """The same after `migrate`."""
    postgres_database.migrate(make_url(lesser_url).username)
    found = Database(lesser_url)
    yield found
    found.close()


def one_row_each(database):
    """A row in every table of the audit, so that there is something to tamper with."""
    with database.write() as connection:
        for table in schema.append_only():
            row = {
                column.name: 1 if column.type.python_type in (int, float) else "1"
                for column in table.columns
                if not column.nullable and column.name != "seq"
            }
            connection.execute(table.insert(), row)


def test_what_is_audit():
    assert set(AUDIT) == {
        "agreement_history",
        "agreements",
        "attacks",
        "derived_sets",
        "disclosures",
        "releases",
        "retractions",
        "signatures",
        "signing_key_acts",
        "signing_keys",
        "successions",
    }


def test_the_services_role_can_only_add_and_read(lesser):
    one_row_each(lesser)
    for table in AUDIT:
        _only_add_and_read(lesser, table)


def _only_add_and_read(lesser, table):
    column = next(iter(schema.metadata.tables[table].columns)).name
    for tampering in (
        f"UPDATE {table} SET {column} = {column}",
        f"DELETE FROM {table}",
        f"TRUNCATE {table}",
        f"DROP TABLE {table}",
        f"ALTER TABLE {table} DISABLE TRIGGER ALL",
        f"ALTER TABLE {table} OWNER TO CURRENT_USER",
        f"CREATE RULE nothing AS ON INSERT TO {table} DO INSTEAD NOTHING",
        "SET session_replication_role = replica",
        "DROP FUNCTION peerview_append_only CASCADE",
    ):
        with pytest.raises(ProgrammingError) as refused, lesser.write() as connection:
            connection.execute(text(tampering))
        assert refused.value.orig.sqlstate == "42501", tampering
    with lesser.write() as connection:
        # PostgreSQL only warns that nothing was granted
        connection.execute(text(f"GRANT ALL ON {table} TO CURRENT_USER"))
    with lesser.read() as connection:
        assert rights.excess(connection) == []
        assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 1


def test_triggers_refuse_even_the_owner(database):
    one_row_each(database)
    for table in AUDIT:
        column = next(iter(schema.metadata.tables[table].columns)).name
        statements = [f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"]
        if database.engine.dialect.name == "postgresql":
            statements.append(f"TRUNCATE {table}")
        for tampering in statements:
            with pytest.raises(DBAPIError, match="append-only"), database.write() as connection:
                connection.execute(text(tampering))


@pytest.mark.parametrize("table", schema.append_only(), ids=lambda table: table.name)
def test_on_sqlite_no_row_is_replaced_by_another(sqlite_database, table):
    one_row_each(sqlite_database)

    def rows():
        with sqlite_database.read() as connection:
            return connection.execute(table.select()).mappings().all()

    (before,) = rows()
    changed = {c.name: 2 if c.type.python_type is int else "2" for c in table.columns}
    replaced = changed | {column.name: before[column.name] for column in table.primary_key}
    names = ", ".join(f'"{name}"' for name in replaced)
    values = ", ".join(f":{name}" for name in replaced)
    statement = text(f"INSERT OR REPLACE INTO {table.name} ({names}) VALUES ({values})")
    with contextlib.suppress(DBAPIError), sqlite_database.write() as connection:
        connection.execute(statement, replaced)
    assert rows() == [before]


def test_the_whole_service_runs_as_the_lesser_role(tmp_path, issuer, lesser):
    clock = Clock()
    chosen = settings(tmp_path, issuer, share_database=lesser.url)
    share = main.build(chosen, clock=clock, monotonic=clock.monotonic)
    world = World(share, clock, issuer, TestClient(create_app(share)))
    world.agree(document(A, B, C))
    cells = {"bp-htn-u80": patients(40, 100), "dna": patients(20, 400)}
    world.release(dict.fromkeys((A, B, C), cells))
    assert {c["subject"] for c in world.peers(A).json()["cells"]} == {B, C}
    assert world.act("north-learning", B, "withdraw").status_code == 200
    assert {c["subject"] for c in world.peers(A).json()["cells"]} == {C}
    share.database.close()


def test_every_table_has_rights_for_the_service(lesser):
    with lesser.read() as connection:
        here = set(inspect(connection).get_table_names())
        assert here - {"alembic_version"} == set(schema.metadata.tables)
        for table in here:
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() >= 0


def test_production_refuses_a_role_that_could_rewrite_the_audit(
    tmp_path, issuer, postgres_database, lesser
):
    def build(url):
        chosen = settings(tmp_path, issuer, share_database=url)
        production = chosen.model_copy(update={"mode": Mode.PRODUCTION})
        main.build(production).database.close()

    with pytest.raises(rights.RightsError, match="ownership on disclosures"):
        build(postgres_database.url)
    build(lesser.url)
    role = make_url(lesser.url).username
    with postgres_database.write() as connection:
        connection.execute(text(f'GRANT UPDATE (reader) ON disclosures TO "{role}"'))
    with pytest.raises(rights.RightsError, match=r"\(UPDATE on disclosures\)"):
        build(lesser.url)
    postgres_database.migrate(role)
    build(lesser.url)


def test_old_tables_are_not_the_services_to_change(postgres_database, lesser_url):
    with postgres_database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        role = make_url(lesser_url).username
        rights.grant(connection, role)
    database = Database(lesser_url)
    with pytest.raises(MigrationNeededError, match="peerview_share migrate"):
        database.migrate()
    database.close()


def test_the_command_migrates_as_the_owner_for_the_service(
    tmp_path, issuer, postgres_database, lesser_url, monkeypatch
):
    monkeypatch.setenv("PEERVIEW_SHARE_DATABASE", lesser_url)
    monkeypatch.setenv("PEERVIEW_SHARE_OWNER_DATABASE", postgres_database.url)
    main.migrate()
    database = Database(lesser_url)
    with database.read() as connection:
        assert rights.excess(connection) == []
    one_row_each(database)
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(schema.disclosures.insert(), {"seq": 1})
    database.close()
