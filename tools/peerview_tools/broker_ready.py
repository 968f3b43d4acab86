"""What all ways to have a broker share: how to wait for one, and how to say what is going on."""

import contextlib
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

Say = Callable[[str], None]

_ATTEMPT_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.05


class BrokerUnavailableError(RuntimeError):
    """No broker could be had; the message tells a person what to do."""


def say_on_stderr(message: str) -> None:
    """Standard output belongs to the command's result."""
    print(f"[broker] {message}", file=sys.stderr, flush=True)


def wait_until_ready(
    bootstrap: str,
    seconds: float,
    why_not: Callable[[], str | None] = lambda: None,
    cluster: str | None = None,
) -> None:
    """Return when the broker answers a request, not merely a connection.

    `cluster` is the id it must answer with, lest another broker on a port we lost a race for is
    taken for ours. `why_not` is asked between attempts: a reason ends the waiting at once. Raises
    BrokerUnavailableError then and after `seconds`.
    """
    deadline = time.monotonic() + seconds
    last = "no connection"
    while time.monotonic() < deadline:
        if reason := why_not():
            raise BrokerUnavailableError(reason)
        try:
            if _answers(bootstrap, cluster):
                return
        except (OSError, KafkaError) as error:
            last = f"{type(error).__name__}: {error}"
        time.sleep(_PAUSE_SECONDS)
    raise BrokerUnavailableError(
        f"no answer from Kafka at {bootstrap} within {seconds:.0f} s ({last})"
    )


def _answers(bootstrap: str, cluster: str | None) -> bool:
    host, _, port = bootstrap.split(",")[0].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=_ATTEMPT_SECONDS):
        pass  # cheaper and quieter than a client while nobody listens
    milliseconds = int(_ATTEMPT_SECONDS * 1000)
    with _quiet_client():
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap.split(","),
            request_timeout_ms=milliseconds,
            bootstrap_timeout_ms=milliseconds,
        )
        try:
            found = admin.describe_cluster()
            return bool(found["brokers"]) and cluster in (None, found["cluster_id"])
        finally:
            admin.close()


@contextlib.contextmanager
def _quiet_client() -> Iterator[None]:
    """A broker that is still starting refuses connections: expected, so not worth a warning."""
    logger = logging.getLogger("kafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
