"""Fixtures of every test: one broker and one database a run, shared by tests that keep apart."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from tests.support.brokers import TestBroker, shared_broker
from tests.support.databases import NoPostgresError, TestDatabase, shared_postgres

# how long an example takes is the machine's affair: measures are in the bench, never in tests
settings.register_profile("peerview", deadline=None)
settings.load_profile("peerview")

_STARTED = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_STARTED] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for brokers first, the end-to-end tests before all, then a file that takes a
    minute and a half: side by side, the run then ends with what is quick."""
    items.sort(
        key=lambda item: (
            item.get_closest_marker("broker") is None,
            "endtoend" not in item.path.parts,
            "noninterference" not in item.path.parts,
        )
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of a parallel run hands what it started to the one that prints."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["started"] = session.config.stash[_STARTED]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    node.config.stash[_STARTED].extend(getattr(node, "workeroutput", {}).get("started", []))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say by the closing line what the tests really ran on."""
    for line in config.stash[_STARTED]:
        terminalreporter.write_line(line)


@pytest.fixture
def closing(request: pytest.FixtureRequest) -> list[str]:
    """Lines to be shown when all tests are done: what was measured."""
    return request.config.stash[_STARTED]


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest) -> Iterator[TestBroker]:
    """A real Kafka broker. No topic is automatic: create yours, named by `topic_prefix`."""
    with shared_broker() as started:
        line = f"broker: {started.description}, ready in {started.startup_seconds:.1f} s"
        request.config.stash[_STARTED].append(line)
        yield started


@pytest.fixture(scope="session")
def bootstrap(broker: TestBroker) -> str:
    """The broker's `bootstrap_servers`."""
    return broker.bootstrap


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> str:
    """Starts the names of this test's topics, groups and transactions: `test-name-1a2b3c4d.`."""
    name = re.sub(r"[^a-zA-Z0-9]+", "-", request.node.name)[:60].strip("-")
    return f"{name}-{uuid.uuid4().hex[:8]}."


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[TestDatabase]:
    """A PostgreSQL server; the test is skipped, with the reason, where there can be none."""
    try:
        with shared_postgres() as started:
            line = f"database: {started.description}, ready in {started.startup_seconds:.1f} s"
            request.config.stash[_STARTED].append(line)
            yield started
    except NoPostgresError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def postgres_url(postgres: TestDatabase) -> str:
    """SQLAlchemy's URL of a server that all tests share: make a database of your own in it."""
    return postgres.url
