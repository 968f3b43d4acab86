"""The service on a database of its own, with a log that the test can read and break."""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from peerview_common import changes, codes
from peerview_common.auth import TokenVerifier
from peerview_common.changes import ChangeSet, Control
from peerview_common.cloudevents import EventType
from peerview_common.settings import IngestSettings
from peerview_ingest.app import make_app
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.publisher import BrokerAwayError, Position
from peerview_ingest.store import Store
from peerview_ingest.submission import Ingest
from peerview_tools.issuer import DevelopmentIssuer
from tests.ingest.builders import NOW, PRACTICE


class MemoryLog:
    """Stands in for the broker where the broker is not what is tested."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.kinds: list[str] = []
        self.away: str | None = None
        self.gate: asyncio.Event | None = None

    async def publish(
        self,
        changes: Sequence[bytes],
        practice: str,
        traceparent: str | None,
        kinds: Sequence[str] | None = None,
    ) -> list[Position]:
        if self.gate is not None:
            await self.gate.wait()
        if self.away is not None:
            raise BrokerAwayError(self.away, 0, sent=False)
        first = len(self.records)
        self.records.extend(changes)
        self.kinds.extend(kinds or [EventType.CHANGES] * len(changes))
        return [Position(0, first + number) for number in range(len(changes))]

    def wrong(self) -> str | None:
        return self.away

    def events(self) -> list[ChangeSet | Control]:
        return [
            changes.decode(kind, record)
            for kind, record in zip(self.kinds, self.records, strict=True)
        ]

    def sets(self) -> list[ChangeSet]:
        return [each for each in self.events() if isinstance(each, ChangeSet)]


class Service:
    """The whole service, called without a network."""

    def __init__(self, ingest: Ingest, log: Any, issuer: DevelopmentIssuer) -> None:
        self.ingest, self.log, self.issuer = ingest, log, issuer
        verifier = TokenVerifier.from_settings(ingest.settings)
        transport = httpx.ASGITransport(make_app(ingest, verifier))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://ingest")
        self.token = self.token_for(PRACTICE)

    def token_for(self, *practices: str, **claims: Any) -> str:
        rest = {"subject": "feed", "scope": "ingest:write", **claims}
        return self.issuer.token(practices=practices, **rest)

    async def send(self, method: str, path: str, **rest: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}", **rest.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **rest)

    async def bundle(self, document: Any, **rest: Any) -> httpx.Response:
        return await self.send("POST", "/fhir", json=document, **rest)


def settings(directory: Path, issuer: DevelopmentIssuer, **rest: Any) -> IngestSettings:
    database = f"sqlite:///{directory / 'ingest.db'}"
    return IngestSettings(**{"ingest_database": database, "jwks": issuer.jwks, **rest})


@pytest.fixture
def issuer(tmp_path: Path) -> DevelopmentIssuer:
    return DevelopmentIssuer(tmp_path / "issuer")


@pytest.fixture
def clock() -> Iterator[int]:
    return itertools.count(NOW, 1_000)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in its newest form: a copy is made in no time, the form in a tenth of a second."""
    path = tmp_path_factory.mktemp("database") / "empty.db"
    Store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
async def service(
    tmp_path: Path, issuer: DevelopmentIssuer, clock: Iterator[int], empty_database: Path
) -> AsyncIterator[Service]:
    # a test may send faster than one caller should
    chosen = settings(tmp_path, issuer, max_body_bytes=6_000_000, caller_requests_per_s=0)
    shutil.copy(empty_database, tmp_path / "ingest.db")
    store = Store(chosen.ingest_database)
    ingest = Ingest(
        chosen, store, MemoryLog(), codes.shipped(), DEMONSTRATION_KEY, lambda: next(clock)
    )
    made = Service(ingest, ingest.publisher, issuer)
    yield made
    await made.client.aclose()
    ingest.close()


_CLOSING = pytest.StashKey[list[str]]()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(_CLOSING, []):
        terminalreporter.write_line(line)


@pytest.fixture
def closing(request: pytest.FixtureRequest) -> list[str]:
    """Lines to be shown when all tests are done."""
    return request.config.stash.setdefault(_CLOSING, [])
