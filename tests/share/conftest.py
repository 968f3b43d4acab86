"""A database of each kind, made anew for every test."""

import uuid

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from peerview_share.api.app import create_app
from peerview_share.store.database import Database
from tests.share.support import Clock, Issuer, World, make_share


@pytest.fixture
def sqlite_database(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/share.db")
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def postgres_database(empty_postgres):
    empty_postgres.migrate()
    return empty_postgres


@pytest.fixture
def empty_postgres(postgres_url):
    """A database of its own, without a table."""
    name = f"share_{uuid.uuid4().hex[:12]}"
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(postgres_url).set(database=name)
    database = Database(url.render_as_string(hide_password=False))
    yield database
    database.close()
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request):
    """Every test that takes this runs on both."""
    return request.getfixturevalue(f"{request.param}_database")


@pytest.fixture
def issuer(tmp_path):
    return Issuer(tmp_path)


@pytest.fixture
def world(tmp_path, issuer):
    """The whole service in this process, without a broker: its threads are not started."""
    clock = Clock()
    share = make_share(tmp_path, clock, issuer)
    found = World(share, clock, issuer, TestClient(create_app(share)))
    yield found
    share.database.close()
