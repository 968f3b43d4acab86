"""One stack for the tests that leave it as it was; those that break things start their own."""

import uuid
from collections.abc import Iterator

import pytest

from tests.endtoend.stack import World, running


@pytest.fixture(scope="session")
def world(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All three services. Use a practice of your own: others are on it too."""
    home = tmp_path_factory.mktemp("world")
    prefix = f"endtoend-{uuid.uuid4().hex[:8]}."
    with running(home, bootstrap, prefix) as found:
        yield found
