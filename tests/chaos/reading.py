"""What the topics hold, read once and remembered; and whether it is what the model says."""

from collections.abc import Callable
from typing import Any

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from peerview_common import changes, topics
from peerview_common.cloudevents import header
from peerview_common.snapshots import decode_chunk
from peerview_common.topics import Topic
from peerview_compute.engine.records import MARKER_SIGN, split_patient_key
from peerview_compute.model.core import Core
from peerview_compute.model.status import Status
from tests.chaos.model import Model, comparable, pruned, without_cache
from tests.chaos.promise import Promise

_READ = (topics.CHANGES, topics.STATE, topics.VALUES, topics.SNAPSHOTS, topics.DEAD_LETTERS)
_SHOWN = 6
SOON_BACK = {"reconnect_backoff_max_ms": 200}
"""A client's settings for a broker that is often away."""


class Readings:
    """Reads on where it stopped. ``model`` follows ``practice.changes`` as the log has it."""

    def __init__(
        self, bootstrap: str, prefix: str, partitions: int, core: Core, snapshot_key: bytes
    ) -> None:
        self._core = core
        self.model = Model(core, snapshot_key, partitions)
        self.promise = Promise(core, snapshot_key, partitions)
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, **SOON_BACK
        )
        self._group = KafkaConsumer(
            bootstrap_servers=bootstrap,
            enable_auto_commit=False,
            **SOON_BACK,
            group_id=f"{prefix}peerview-compute",
        )
        names = {topics.topic_name(prefix, topic): topic for topic in _READ}
        self._topics = {
            TopicPartition(name, number): topic
            for name, topic in names.items()
            for number in range(partitions)
        }
        self._consumer.assign(list(self._topics))
        self._consumer.seek_to_beginning()
        self._next = dict.fromkeys(self._topics, 0)
        self.values: dict[bytes, bytes] = {}
        self.newest: dict[bytes, bytes] = {}
        self.dead: list[Any] = []
        self._expected: tuple[int, dict[bytes, bytes]] = (-1, {})

    def close(self) -> None:
        self._consumer.close()
        self._group.close()

    def ends(self, topic: Topic) -> int | None:
        """Records of a topic so far; None while the broker does not answer."""
        parts = [part for part, of in self._topics.items() if of is topic]
        try:
            return sum(self._consumer.end_offsets(parts).values())
        except KafkaError:
            return None

    def read(self) -> bool:
        """Everything up to the ends as of now; False when the broker did not answer."""
        try:
            ends = self._consumer.end_offsets(list(self._topics))
            for _ in range(2000):
                if all(self._next[part] >= end for part, end in ends.items()):
                    return True
                for part, records in self._consumer.poll(timeout_ms=200).items():
                    for record in records:
                        self._take(part, record)
        except KafkaError:
            pass
        return False

    def _take(self, part: TopicPartition, record: Any) -> None:
        assert record.offset == self._next[part], f"{part}: {record.offset}, not {self._next[part]}"
        self._next[part] += 1
        topic = self._topics[part]
        if topic is topics.CHANGES:
            event = changes.decode(header(record.headers, "ce_type"), record.value)
            self.model.take(part.partition, record.offset, event)
            self.promise.sent(part.partition, record.offset, event)
        elif topic is topics.VALUES:
            self.values[record.key] = record.value
        elif topic is topics.SNAPSHOTS:
            self.promise.snapshot(decode_chunk(record.value))
        elif topic is topics.DEAD_LETTERS:
            self.dead.append(record)
        else:
            self.newest[record.key] = record.value
            self.promise.state(record.key, record.value)

    # -- what is wrong: nothing, if all is well

    def wrong_values(self) -> list[str]:
        """Differences of the newest values, byte by byte."""
        if self._expected[0] != self.model.records:
            self._expected = (self.model.records, self.model.values())
        return _differences(self._expected[1], self.values, _text)

    def wrong_states(self) -> list[str]:
        """Differences of the newest record of each key of ``patient.state``, which compaction would
        leave alone, and of all records joined."""
        expected = self.model.states()
        patients = {key: value for key, value in expected.items() if MARKER_SIGN not in key}
        stripped = {key: comparable(key, value) for key, value in self.newest.items()}
        joined = {key: self._pruned(key, value) for key, value in self.promise.joined.items()}
        found = [f"newest {text}" for text in _differences(expected, stripped, _state)]
        found += [f"joined {text}" for text in _differences(patients, joined, _state)]
        return found + self._wrong_caches()

    def _day(self, code: str) -> int | None:
        for partition, practices in enumerate(self.model.practices):
            if code in practices:
                return self.model.as_of(partition)
        return None

    def _pruned(self, key: bytes, value: bytes) -> bytes:
        return pruned(self._core, value, self._day(split_patient_key(key)[0]))

    def _wrong_caches(self) -> list[str]:
        found = []
        for key, value in self.newest.items():
            if MARKER_SIGN in key:
                continue
            code, patient = split_patient_key(key)
            day = self._day(code)
            cache = without_cache(value)[1]
            expected = self.model.cells(code, patient)
            if cache is None:
                if expected and day is not None:
                    found.append(f"cache of {key!r}: none")
                continue
            cells = {
                cell.indicator: (cell.status, cell.denominator, cell.numerator)
                for cell in cache.cells
                if cell.status != Status.OUT
            }
            if day is None or not cache.as_of <= day < cache.next_change or cells != expected:
                found.append(f"cache of {key!r}: {cache.as_of} {cells}, not {day} {expected}")
        return found

    def wrong_snapshots(self) -> list[str]:
        """Cuts that lack a whole attempt, and attempts that say anything else than the model."""
        found = []
        for key, wanted in self.model.snapshots.items():
            attempts = self.promise.chunks.get(key, {})
            if not self.promise.whole(*key):
                found.append(f"no whole snapshot of {key}: {len(attempts)} attempts")
            for chunk in (chunk for chunks in attempts.values() for chunk in chunks):
                said = (chunk.content_hash, chunk.as_of, chunk.data_through)
                if said != (wanted.digest, wanted.as_of, wanted.data_through):
                    found.append(f"another content of {key}: attempt {chunk.attempt}: {said[1:]}")
        strange = self.promise.chunks.keys() - self.model.snapshots.keys()
        return found + [f"a snapshot that nobody asked for: {key}" for key in strange]

    def wrong_letters(self) -> list[str]:
        return [
            f"dead letter at stage {header(record.headers, 'stage')}: "
            f"{header(record.headers, 'reason')}"
            for record in self.dead
        ]

    def committed(self, partition: int) -> int | None:
        """The group's offset in a partition; None when there is none, or no answer."""
        parts = [part for part, topic in self._topics.items() if topic is topics.CHANGES]
        try:
            found: int | None = self._group.committed(parts[partition])
        except KafkaError:
            return None
        return found

    def ahead(self) -> list[str]:
        """Commits that ran ahead: what the log lacks of the records before a committed offset.
        Nothing while the broker does not answer."""
        numbers = [part.partition for part, of in self._topics.items() if of is topics.CHANGES]
        committed = {number: self.committed(number) for number in numbers}
        # only now: whatever was promised by then must stand in what is read after it
        if not self.read():
            return []
        return [
            text
            for number, offset in committed.items()
            if offset is not None
            for text in self.promise.broken(number, offset)
        ]

    def uncommitted(self) -> list[str]:
        """Partitions whose committed offset is not their end."""
        found = []
        for part, topic in self._topics.items():
            if topic is topics.CHANGES and self._next[part]:
                try:
                    committed = self._group.committed(part)
                except KafkaError as error:
                    return [f"no answer: {error!r}"]
                if committed != self._next[part]:
                    found.append(f"partition {part.partition}: {committed} of {self._next[part]}")
        return found

    @property
    def attempts(self) -> int:
        return sum(len(attempts) for attempts in self.promise.chunks.values())


def _differences(
    expected: dict[bytes, bytes], found: dict[bytes, bytes], text: Callable[[bytes], str]
) -> list[str]:
    keys = [k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k)]
    return [
        f"{key!r}:\n    is {_shown(found.get(key), text)}"
        f"\n    not {_shown(expected.get(key), text)}"
        for key in sorted(keys)[:_SHOWN]
    ] + ([f"and {len(keys) - _SHOWN} more of {len(expected)}"] if len(keys) > _SHOWN else [])


def _shown(value: bytes | None, text: Callable[[bytes], str]) -> str:
    return "absent" if value is None else text(value)


def _text(value: bytes) -> str:
    return value.decode()


def _state(value: bytes) -> str:
    """A state's head, and how many facts; a marker or notes as they are."""
    found = msgspec.msgpack.decode(value)
    if len(found) == 6 and isinstance(found[5], list):
        return f"{found[:4]} with {len(found[5])} facts"
    return str(found)
