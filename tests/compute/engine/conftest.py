"""A worker's surroundings: a feed, the topics, and workers that end with the test."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.compute.engine.feed import Feed
from tests.compute.engine.world import Log, Worker

PARTITIONS = 2


@pytest.fixture
def feed(bootstrap: str, topic_prefix: str) -> Iterator[Feed]:
    feed = Feed(bootstrap, topic_prefix, PARTITIONS)
    yield feed
    feed.close()


@pytest.fixture
def log(bootstrap: str, topic_prefix: str, feed: Feed) -> Log:
    return Log(bootstrap, topic_prefix)


@pytest.fixture
def start(bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Start one more worker; settings by name."""
    workers: list[Worker] = []

    def start_one(**over: str) -> Worker:
        worker = Worker(bootstrap, topic_prefix, PARTITIONS, tmp_path, **over)
        workers.append(worker)
        return worker

    yield start_one
    for worker in workers:
        if worker.process.poll() is None:
            worker.signal(signal.SIGCONT)
        worker.kill()
