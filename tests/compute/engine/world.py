"""A compute worker as its own process, and what can be seen of it from outside."""

import functools
import re
import urllib.error
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from peerview_common import topics
from peerview_common.changes import ChangeSet
from peerview_common.snapshots import SnapshotChunk, decode_chunk
from peerview_common.topics import Topic
from peerview_common.values import IndicatorValue, decode_value
from peerview_compute.model.core import Core, shipped_definitions
from tests.support import waiting
from tests.support.processes import Service

CORE = Core(shipped_definitions())
SNAPSHOT_KEY = bytes(range(16))
PATIENCE_S = 120.0


wait_until = functools.partial(waiting.wait_until, seconds=PATIENCE_S)
"""With the patience that a rebalance on a busy machine needs."""


class Worker(Service):
    """``python -m peerview_compute``."""

    def __init__(self, bootstrap: str, prefix: str, partitions: int, folder: Path, **over: str):
        settings = {
            "PEERVIEW_KAFKA": bootstrap,
            "PEERVIEW_TOPIC_PREFIX": prefix,
            "PEERVIEW_PARTITIONS": str(partitions),
            "PEERVIEW_SNAPSHOT_KEY": SNAPSHOT_KEY.hex(),
            "PEERVIEW_DATA_DIR": str(folder),
            "PEERVIEW_SESSION_TIMEOUT_S": "4",
            "PEERVIEW_HEARTBEAT_S": "0.5",
            "PEERVIEW_LOG_LEVEL": "info",
        }
        super().__init__("peerview_compute", settings | over, folder)

    @property
    def port(self) -> int:
        return int(self.listening()["port"])

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=10
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """The sum over labels."""
        found = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return sum(float(value) for value in found)

    def until_ready(self) -> "Worker":
        wait_until(lambda: self.alive and self.get("/health/ready")[0] == 200, "ready")
        return self


class Log:
    """What the topics hold, read from their beginning."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._bootstrap = bootstrap
        self._prefix = prefix

    def records(self, topic: Topic) -> list[Any]:
        name = topics.topic_name(self._prefix, topic)
        consumer = KafkaConsumer(bootstrap_servers=self._bootstrap, enable_auto_commit=False)
        try:
            found = wait_until(lambda: consumer.partitions_for_topic(name), f"topic {name}")
            parts = [TopicPartition(name, number) for number in sorted(found)]
            consumer.assign(parts)
            consumer.seek_to_beginning(*parts)
            ends = consumer.end_offsets(parts)
            records = []
            while any(consumer.position(part) < ends[part] for part in parts):
                for batch in consumer.poll(timeout_ms=200).values():
                    records.extend(batch)
            return records
        finally:
            consumer.close()

    def values(self) -> dict[tuple[str, str], IndicatorValue]:
        """The newest of each key."""
        found = {}
        for record in self.records(topics.VALUES):
            value = decode_value(record.value)
            found[value.practice, value.indicator] = value
        return found

    def chunks(self) -> list[SnapshotChunk]:
        return [decode_chunk(record.value) for record in self.records(topics.SNAPSHOTS)]


Counts = dict[tuple[str, str], tuple[int, ...]]


def counts_of(values: dict[tuple[str, str], IndicatorValue]) -> Counts:
    return {
        key: (v.denominator, v.numerator, v.met, v.miss, v.exception, v.excluded)
        for key, v in values.items()
    }


class Reference:
    """The core over all patients, whatever the order: what every history must end in."""

    def __init__(self) -> None:
        self.states: dict[str, dict[bytes, bytes]] = defaultdict(dict)

    def take(self, change: ChangeSet) -> ChangeSet:
        practice = self.states[change.practice]
        for part in change.patients:
            practice[part.patient] = CORE.apply(practice.get(part.patient), part, None).stored
        return change

    def counts(self, day: int) -> Counts:
        found: Counts = {}
        for code, patients in self.states.items():
            tally = CORE.tally()
            for stored in patients.values():
                tally.add(CORE.refresh(stored, day).after)
            for indicator, c in zip(CORE.definitions.indicators, tally.counts, strict=True):
                found[code, indicator] = (
                    c.denominator, c.numerator, c.met, c.miss, c.exception, c.excluded
                )  # fmt: skip
        return found


def until_counts(log: Log, expected: Counts, as_of: str, seconds: float = PATIENCE_S) -> None:
    """Wait until the newest values are exactly the expected ones."""
    last: dict[tuple[str, str], IndicatorValue] = {}

    def met() -> bool:
        nonlocal last
        last = log.values()
        return counts_of(last) == expected and {v.as_of for v in last.values()} == {as_of}

    def differences() -> str:
        found = counts_of(last)
        keys = sorted(expected.keys() | found.keys())
        wrong = {
            k: (expected.get(k), found.get(k)) for k in keys if expected.get(k) != found.get(k)
        }
        days = {value.as_of for value in last.values()}
        return f"{len(wrong)} of {len(keys)} differ (expected, found), as of {days}: {wrong}"

    wait_until(met, "the expected counts", seconds=seconds, last=differences)
