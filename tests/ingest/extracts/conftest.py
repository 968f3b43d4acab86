"""The service of these tests runs on SQLite; of those marked ``ON_BOTH`` on PostgreSQL too."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from peerview_common import codes
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.store import Store
from peerview_ingest.submission import Ingest
from peerview_tools.issuer import DevelopmentIssuer
from tests.ingest.conftest import MemoryLog, Service, settings


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """SQLAlchemy's URL of a new database."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield f"sqlite:///{tmp_path / 'ingest.db'}"
        return
    server = request.getfixturevalue("postgres_url")
    name = f"extracts_{uuid.uuid4().hex[:8]}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield server.rpartition("/")[0] + f"/{name}"
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
async def service(
    database: str, tmp_path: Path, issuer: DevelopmentIssuer, clock: Iterator[int]
) -> AsyncIterator[Service]:
    chosen = settings(tmp_path, issuer, ingest_database=database)
    ingest = Ingest(
        chosen, Store(database), MemoryLog(), codes.shipped(), DEMONSTRATION_KEY,
        lambda: next(clock),
    )  # fmt: skip
    made = Service(ingest, ingest.publisher, issuer)
    yield made
    await made.client.aclose()
    ingest.close()
