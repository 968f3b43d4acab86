"""The closing lines of the runs."""

import logging
from collections.abc import Iterator

import pytest

CLOSING = pytest.StashKey[list[str]]()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(CLOSING, []):
        terminalreporter.write_line(line)


@pytest.fixture
def closing(request: pytest.FixtureRequest) -> list[str]:
    """Lines to be shown when all tests are done."""
    return request.config.stash.setdefault(CLOSING, [])


@pytest.fixture(autouse=True)
def quiet_clients() -> Iterator[None]:
    """A broker that does not answer is what we do here: its clients need not say so."""
    log = logging.getLogger("kafka")
    level = log.level
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(level)
