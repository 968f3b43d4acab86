"""Ingest, its broker and its database as processes of their own, and what befalls them."""

import os
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from kafka import KafkaConsumer, TopicPartition

from peerview_common import changes, cloudevents
from peerview_common.changes import ChangeSet, Control
from peerview_common.topics import CHANGES, topic_name
from peerview_tools.issuer import DevelopmentIssuer
from peerview_tools.jvm_broker import HOST, JvmBroker, free_port
from tests.support.databases import LocalPostgres

PARTITIONS = 3
PATIENCE_S = 60.0


def wait_for(met: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)


@dataclass
class Replica:
    """One ingest process; it comes back on the same port and database."""

    environment: dict[str, str]
    folder: Path
    number: int
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def log_file(self) -> Path:
        return self.folder / f"ingest-{self.number}.log"

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "peerview_ingest"],
                env=os.environ | self.environment | {"PEERVIEW_PORT": str(self.port)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def ready(self) -> bool:
        assert self.process is None or self.process.poll() is None, self.log_file.read_text()[
            -2000:
        ]
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Cluster:
    """``with Cluster(...)``; only processes that are started here are ever signalled."""

    def __init__(self, folder: Path, prefix: str, *, postgres: bool) -> None:
        self.folder, self.prefix = folder, prefix
        self.issuer = DevelopmentIssuer(folder / "issuer")
        self.postgres = LocalPostgres() if postgres else None
        self.broker = JvmBroker()
        self.database = folder / "ingest.db"
        url = self.postgres.url if self.postgres else f"sqlite:///{self.database}?timeout=1"
        settings = {
            "KAFKA": self.broker.bootstrap,
            "TOPIC_PREFIX": prefix,
            "PARTITIONS": str(PARTITIONS),
            "INGEST_DATABASE": url,
            "JWKS": self.issuer.jwks,
            "DELIVERY_TIMEOUT_MS": "2000",
        }
        environment = {f"PEERVIEW_{name}": text for name, text in settings.items()}
        self.replicas = [
            Replica(environment, folder, number) for number in range(2 if postgres else 1)
        ]

    def __enter__(self) -> "Cluster":
        for replica in self.replicas:
            replica.start()
        self.until_ready()
        return self

    def __exit__(self, *_: object) -> None:
        for replica in self.replicas:
            replica.kill()
        self.broker.stop()
        if self.postgres is not None:
            self.postgres.remove()

    def until_ready(self) -> None:
        wait_for(lambda: all(replica.ready() for replica in self.replicas), "ingest is ready")

    def token(self, practice: str) -> str:
        return self.issuer.token(subject="feed", practices=[practice], scope="ingest:write")

    # -- faults. Each strikes, waits until somebody has felt it, and heals.

    def strike(self, kind: str, felt: Callable[[], None]) -> None:
        getattr(self, kind.replace(" ", "_"))(felt)
        self.until_ready()

    def broker_killed(self, felt: Callable[[], None]) -> None:
        self.broker.kill9()
        felt()
        self.broker.start()

    def broker_frozen(self, felt: Callable[[], None]) -> None:
        self.broker.suspend()
        felt()
        self.broker.resume()

    def ingest_killed(self, felt: Callable[[], None]) -> None:
        replica = self.replicas.pop(0)
        self.replicas.append(replica)  # the next time another one
        replica.kill()
        felt()
        replica.start()

    def database_killed(self, felt: Callable[[], None]) -> None:
        assert self.postgres is not None
        self.postgres.kill9()
        felt()
        self.postgres.start()

    def database_stopped(self, felt: Callable[[], None]) -> None:
        assert self.postgres is not None
        self.postgres.stop()
        felt()
        self.postgres.start()

    def database_locked(self, felt: Callable[[], None]) -> None:
        """Somebody else has SQLite's only write lock, and keeps it."""
        other = sqlite3.connect(self.database, isolation_level=None, timeout=30)
        other.execute("BEGIN IMMEDIATE")
        felt()
        other.execute("ROLLBACK")
        other.close()

    def database_unwritable(self, felt: Callable[[], None]) -> None:
        """No file of the process may grow: the disk is full."""
        process = self.replicas[0].process
        assert process is not None
        before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
        felt()
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)

    # -- the log

    def records(self) -> list[tuple[str, ChangeSet | Control]]:
        """``(partition@offset, event)`` of everything, partition by partition."""
        consumer = KafkaConsumer(bootstrap_servers=self.broker.bootstrap, enable_auto_commit=False)
        try:
            name = topic_name(self.prefix, CHANGES)
            places = [TopicPartition(name, number) for number in range(PARTITIONS)]
            consumer.assign(places)
            ends = consumer.end_offsets(places)
            consumer.seek_to_beginning(*places)
            found = []
            while any(consumer.position(place) < ends[place] for place in places):
                for batch in consumer.poll(timeout_ms=500).values():
                    for record in batch:
                        kind = cloudevents.header(record.headers, "ce_type")
                        event = changes.decode(kind, record.value)
                        found.append((f"{record.partition}@{record.offset}", event))
            return sorted(found, key=_place)
        finally:
            consumer.close()


def _place(record: tuple[str, object]) -> tuple[int, int]:
    partition, _, offset = record[0].partition("@")
    return int(partition), int(offset)


@dataclass
class Errors:
    """How submissions were answered that were not taken."""

    counts: dict[str, int] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, what: str) -> None:
        with self._changed:
            self.counts[what] = self.counts.get(what, 0) + 1
            self._changed.notify_all()

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def until_more(self, number: int, seconds: float) -> bool:
        """Wait for so many more; whether they came."""
        with self._changed:
            wanted = self.total + number
            return self._changed.wait_for(lambda: self.total >= wanted, seconds)
