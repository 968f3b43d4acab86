"""The broker that the tests share: testcontainers where an engine answers, else a local JVM."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from peerview_tools.broker import GivenBroker, JvmBroker, chosen_kind
from peerview_tools.broker_ready import wait_until_ready
from peerview_tools.kafka_settings import KAFKA_IMAGE

_ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class TestBroker:
    """A broker that answers, and what to tell people about it."""

    __test__ = False

    kind: str
    bootstrap: str
    description: str
    startup_seconds: float


@contextlib.contextmanager
def shared_broker() -> Iterator[TestBroker]:
    """Start (or take) the broker of this test run; end it, if it is ours, when the run ends."""
    began = time.monotonic()
    kind = chosen_kind()
    if kind == "container":
        # only here: importing it asks for an engine's settings
        from tests.support.kafka_container import ApacheKafkaContainer

        with ApacheKafkaContainer() as container:
            wait_until_ready(container.bootstrap, _ANSWER_SECONDS)
            text = f"{KAFKA_IMAGE} by testcontainers at {container.bootstrap}"
            yield TestBroker(kind, container.bootstrap, text, time.monotonic() - began)
        return
    broker = GivenBroker.from_environment() if kind == "given" else JvmBroker()
    with broker:
        yield TestBroker(kind, broker.bootstrap, broker.description, time.monotonic() - began)
