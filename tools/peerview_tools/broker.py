"""A Kafka broker for the demo, the bench and the tests, by whatever this machine can do.

In this order: the one that `PEERVIEW_KAFKA` names; a container, when an engine answers; a local
JVM. All three are real Kafka. `PEERVIEW_BROKER=container` or `=jvm` insists on one of them.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

from peerview_tools.broker_ready import BrokerUnavailableError, Say, say_on_stderr, wait_until_ready
from peerview_tools.container_broker import ContainerBroker, engine_version
from peerview_tools.jvm_broker import JvmBroker

__all__ = [
    "Broker",
    "BrokerUnavailableError",
    "ContainerBroker",
    "GivenBroker",
    "JvmBroker",
    "chosen_kind",
    "engine_version",
    "start_broker",
]

Kind = Literal["given", "container", "jvm"]
_GIVEN_SECONDS = 20.0


class Broker(Protocol):
    """A broker that answers. Whoever started it stops it; leaving the `with` block does so too."""

    @property
    def kind(self) -> Kind: ...

    @property
    def bootstrap(self) -> str:
        """What clients take as `bootstrap_servers`: `host:port`, several with commas."""

    @property
    def startup_seconds(self) -> float: ...

    @property
    def description(self) -> str:
        """One line for people: what it is and where."""

    def stop(self) -> None:
        """End what was started, and nothing else. Doing so twice is harmless."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class GivenBroker:
    """Somebody else's broker: used, and never started or stopped."""

    kind: Literal["given"] = "given"

    def __init__(self, bootstrap: str, *, seconds: float = _GIVEN_SECONDS) -> None:
        self.bootstrap = bootstrap
        self.startup_seconds = 0.0
        wait_until_ready(bootstrap, seconds)

    @classmethod
    def from_environment(cls) -> Self:
        """The one that PEERVIEW_KAFKA names."""
        return cls(os.environ["PEERVIEW_KAFKA"])

    @property
    def description(self) -> str:
        return f"the Kafka that PEERVIEW_KAFKA names, at {self.bootstrap}"

    def stop(self) -> None:
        """It is not ours to stop."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def chosen_kind() -> Kind:
    """Which kind of broker this machine and its settings lead to; starts nothing."""
    if os.environ.get("PEERVIEW_KAFKA"):
        return "given"
    match os.environ.get("PEERVIEW_BROKER", "auto"):
        case "container":
            return "container"
        case "jvm":
            return "jvm"
        case "auto":
            return "container" if engine_version() else "jvm"
        case wish:
            raise BrokerUnavailableError(f"PEERVIEW_BROKER is auto, container or jvm, not {wish!r}")


def start_broker(
    data_dir: Path | None = None,
    *,
    properties: Mapping[str, str] | None = None,
    say: Say = say_on_stderr,
) -> Broker:
    """Start the broker that `chosen_kind` names, or take the given one; return when it answers.

    `data_dir` keeps the JVM broker's data from one start to the next; a container's go with it,
    so asking for one prefers the JVM. Raises BrokerUnavailableError with what to do about it.
    """
    broker = _start(data_dir, properties, say)
    say(f"{broker.description}, ready in {broker.startup_seconds:.1f} s")
    return broker


def _start(data_dir: Path | None, properties: Mapping[str, str] | None, say: Say) -> Broker:
    kind = chosen_kind()
    if kind == "given":
        return GivenBroker.from_environment()
    insisted = os.environ.get("PEERVIEW_BROKER") == "container"
    if kind == "container" and (insisted or data_dir is None):
        try:
            return ContainerBroker(properties=properties, say=say)
        except BrokerUnavailableError as error:
            if insisted:
                raise
            say(f"no container ({error}): trying a local JVM")
    return JvmBroker(data_dir, properties=properties, say=say)
