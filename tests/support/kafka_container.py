"""A testcontainers container for the apache/kafka image (KRaft, one node).

testcontainers knows the layout of Confluent's image and of Redpanda, not this one's.
"""

import io
import tarfile
from pathlib import PurePosixPath
from typing import Self

from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from peerview_tools.kafka_settings import KAFKA_IMAGE, SETTINGS, as_container_environment

_PORT = 9092
_SCRIPT = PurePosixPath("/tmp/peerview-start.sh")
_START_SECONDS = 90


class ApacheKafkaContainer(DockerContainer):
    """Advertises the port that the engine published, which is known only once it runs.

    So the container first waits for a script, and `start()` puts that script into it.
    """

    def __init__(self, image: str = KAFKA_IMAGE) -> None:
        super().__init__(image)
        self.with_exposed_ports(_PORT)
        self.with_kwargs(labels={"peerview": "test-broker"})
        settings = SETTINGS | {
            "controller.quorum.voters": "1@localhost:29093",
            "listeners": f"PLAINTEXT://:{_PORT},CONTROLLER://:29093",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": "/tmp/kraft-combined-logs",
        }
        for name, value in as_container_environment(settings).items():
            self.with_env(name, value)
        wait = f"while [ ! -s {_SCRIPT} ]; do sleep 0.05; done; exec bash {_SCRIPT}"
        self.with_command(["bash", "-c", wait])

    @property
    def bootstrap(self) -> str:
        """What clients outside the container take as `bootstrap_servers`."""
        return f"{self.get_container_host_ip()}:{self.get_exposed_port(_PORT)}"

    def start(self) -> Self:
        super().start()
        script = (
            f"export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://{self.bootstrap}\n"
            "exec /etc/kafka/docker/run\n"
        )
        self.get_wrapped_container().put_archive(str(_SCRIPT.parent), _tar(_SCRIPT.name, script))
        started = LogMessageWaitStrategy("Kafka Server started")
        started.with_startup_timeout(_START_SECONDS).wait_until_ready(self)
        return self


def _tar(name: str, text: str) -> bytes:
    content = text.encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), 0o644
        tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()
