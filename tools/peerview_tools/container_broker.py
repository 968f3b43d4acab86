"""A Kafka broker in a container, by the plain docker command and an engine on this machine."""

import shutil
import subprocess
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Literal, Self

from peerview_tools.broker_ready import BrokerUnavailableError, Say, say_on_stderr, wait_until_ready
from peerview_tools.jvm_broker import HOST, free_port
from peerview_tools.kafka_settings import (
    KAFKA_IMAGE,
    SETTINGS,
    as_container_environment,
)

_ENGINE_SECONDS: Final = 10.0
_PULL_SECONDS: Final = 300.0
_START_DEADLINE_SECONDS: Final = 90.0


def engine_version() -> str | None:
    """The version of the container engine that answers, or None."""
    if shutil.which("docker") is None:
        return None
    try:
        return (
            _docker("version", "--format", "{{.Server.Version}}", seconds=_ENGINE_SECONDS) or None
        )
    except BrokerUnavailableError:
        return None


class ContainerBroker:
    """One Kafka node in a container, with its data inside: they go when it stops."""

    kind: Literal["container"] = "container"

    def __init__(
        self, *, properties: Mapping[str, str] | None = None, say: Say = say_on_stderr
    ) -> None:
        began = time.monotonic()
        port = free_port()
        self.bootstrap = f"{HOST}:{port}"
        settings = SETTINGS | {
            "controller.quorum.voters": "1@localhost:29093",
            "listeners": f"PLAINTEXT://:{port},CONTROLLER://:29093",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": "/tmp/kraft-combined-logs",  # noqa: S108 - in the container
        }
        environment = as_container_environment(settings | dict(properties or {}))
        flags = [flag for pair in environment.items() for flag in ("--env", "=".join(pair))]
        if not _docker("images", "--quiet", KAFKA_IMAGE):
            say(f"pulling {KAFKA_IMAGE} (once)")
            _docker("pull", "--quiet", KAFKA_IMAGE, seconds=_PULL_SECONDS)
        self._id: str | None = _docker(
            *("run", "--detach", "--rm", "--label", "peerview=broker"),
            *("--publish", f"{HOST}:{port}:{port}", *flags, KAFKA_IMAGE),
        )
        try:
            wait_until_ready(self.bootstrap, _START_DEADLINE_SECONDS, self._why_not)
        except BaseException:
            self.stop()
            raise
        self.startup_seconds = time.monotonic() - began

    @property
    def description(self) -> str:
        return f"{KAFKA_IMAGE} in a container ({(self._id or 'gone')[:12]}) at {self.bootstrap}"

    def stop(self) -> None:
        """Remove exactly the container that we started."""
        container, self._id = self._id, None
        if container is not None:
            _docker("rm", "--force", "--volumes", container)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _why_not(self) -> str | None:
        try:
            running = _docker("inspect", "--format", "{{.State.Running}}", self._id or "")
        except BrokerUnavailableError as gone:
            return f"the broker's container ended: {gone}"
        return None if running == "true" else "the broker's container ended"


def _docker(*arguments: str, seconds: float = 60.0) -> str:
    """Run one docker command and return what it prints."""
    try:
        done = subprocess.run(
            ["docker", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise BrokerUnavailableError(f"docker {arguments[0]} took over {seconds:.0f} s") from late
    if done.returncode != 0:
        raise BrokerUnavailableError(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()
