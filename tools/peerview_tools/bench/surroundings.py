"""What measures share: one broker a run, topics of their own, and states written in bulk."""

import asyncio
import contextlib
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import msgspec
from aiokafka import AIOKafkaProducer
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from peerview_common import changes, topics
from peerview_common.changes import ClockTicked
from peerview_common.cloudevents import MSGPACK, EventType, header, headers
from peerview_common.topics import Topic
from peerview_compute.engine.headers import HeaderFactory
from peerview_compute.engine.records import Marker, encode, marker_key, patient_key
from peerview_tools.bench import load
from peerview_tools.bench.processes import Worker
from peerview_tools.broker import Broker, start_broker

_BATCH_BYTES: Final = 900_000
_STAMPED: Final = {"message.timestamp.type": "LogAppendTime"}
"""The broker says when a record was appended: one clock for everybody."""

PATIENTS_A_PRACTICE: Final = 10_000


class Seen(NamedTuple):
    """A record of ``indicator.values``: when it was appended, and up to where it counts."""

    at: float
    partition: int
    offset: int
    practice: str
    indicator: str
    counts: tuple[int, ...]


class _Value(msgspec.Struct):
    practice: str
    indicator: str
    denominator: int
    numerator: int
    met: int
    miss: int
    exception: int
    excluded: int
    source: dict[str, int]


_values = msgspec.json.Decoder(_Value)


class Surroundings:
    """Starts the broker when the first measure needs it; ends everything with the ``with``."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._broker: Broker | None = None
        self.folder = Path(tempfile.mkdtemp(prefix="peerview-bench-"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._filled: dict[tuple[int, int], Topics] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def say(self, message: str) -> None:
        print(f"[bench] {message}", file=sys.stderr, flush=True)

    @property
    def bootstrap(self) -> str:
        if self._broker is None:
            self._broker = self._stack.enter_context(start_broker(say=self.say))
        return self._broker.bootstrap

    @property
    def broker_described(self) -> str | None:
        return None if self._broker is None else self._broker.description

    def new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder))

    def topics(self, partitions: int) -> "Topics":
        """New and empty ones, which go with the run."""
        return Topics(self.bootstrap, partitions, self.new_folder())

    def filled(self, patients: int, partitions: int) -> "Topics":
        """Topics whose ``patient.state`` holds so many patients, evaluated as of ``load.DAY``.
        Shared by the measures of a run that change little of it."""
        key = (patients, partitions)
        if key not in self._filled:
            self.say(f"writing {patients:,} patients' states to patient.state")
            for old in self._filled.values():
                old.delete()
            self._filled.clear()
            made = self.topics(partitions)
            made.fill(patients)
            self._filled[key] = made
        return self._filled[key]


class Topics:
    """One deployment's topics."""

    def __init__(self, bootstrap: str, partitions: int, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.partitions = partitions
        self.prefix = f"bench-{uuid.uuid4().hex[:8]}."
        self.folder = folder
        self.practices: list[str] = []
        self.ticked: int = load.DAY
        """The last day that a tick was sent for, or that the states were made as of."""
        topics.create_topics(
            bootstrap,
            [
                (self.name(topic), partitions if topic.partitioned else 1, topic.config | _STAMPED)
                for topic in topics.ALL
            ],
        )

    def name(self, topic: Topic) -> str:
        return topics.topic_name(self.prefix, topic)

    def partition_of(self, practice: str) -> int:
        return topics.practice_partition(practice, self.partitions)

    def worker(self, **over: str) -> Worker:
        folder = self.folder / uuid.uuid4().hex[:6]
        return Worker(self.bootstrap, self.prefix, self.partitions, folder, **over)

    def delete(self) -> None:
        """Now, rather than with the broker: a million patients are gigabytes."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            admin.delete_topics([self.name(topic) for topic in topics.ALL])
        finally:
            admin.close()

    # -- writing

    def fill(self, patients: int) -> None:
        """States of so many patients in practices of one size or less, as a worker writes them."""
        practices = max(self.partitions, -(-patients // PATIENTS_A_PRACTICE))
        self.practices = self._even_practices(practices)
        share = -(-patients // practices)
        rows: dict[int, list[tuple[str, int, int]]] = {}
        for place, practice in enumerate(self.practices):
            first = place * share
            count = min(share, patients - first)
            rows.setdefault(self.partition_of(practice), []).append((practice, first, count))
        asyncio.run(self._fill(rows))

    def patients_of(self, practice: str, patients: int) -> range:
        """The numbers of a practice's patients, of those that ``fill(patients)`` wrote."""
        share = -(-patients // len(self.practices))
        first = self.practices.index(practice) * share
        return range(first, min(patients, first + share))

    def _even_practices(self, count: int) -> list[str]:
        """Codes that give every partition as many practices."""
        wanted = -(-count // self.partitions)
        room = dict.fromkeys(range(self.partitions), wanted)
        found: list[str] = []
        number = 0
        while len(found) < count:
            code = load.practice_code(number)
            number += 1
            partition = self.partition_of(code)
            if room[partition]:
                room[partition] -= 1
                found.append(code)
        return found

    async def _fill(self, rows: dict[int, list[tuple[str, int, int]]]) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            compression_type="lz4",
            max_batch_size=_BATCH_BYTES,
            max_request_size=topics.MAX_MESSAGE_BYTES,
        )
        await producer.start()
        try:
            for partition, practices in rows.items():
                marker = Marker(as_of=load.DAY, done=load.DAY)
                records = [(marker_key(partition), encode(marker), EventType.MARKER, "")]
                await self._send(producer, partition, records)
                for practice, first, count in practices:
                    await self._send(
                        producer,
                        partition,
                        (
                            (patient_key(practice, key), state, EventType.STATE, practice)
                            for key, state in load.stored_patients(first, count)
                        ),
                    )
        finally:
            await producer.stop()

    async def _send(
        self,
        producer: AIOKafkaProducer,
        partition: int,
        records: Iterable[tuple[bytes, bytes, str, str]],
    ) -> None:
        batch, waiting, made = producer.create_batch(), [], None
        name = self.name(topics.STATE)
        for key, value, kind, subject in records:
            made = made or HeaderFactory(subject)
            given = made.of(kind, MSGPACK)
            if batch.append(key=key, value=value, timestamp=None, headers=given) is None:
                waiting.append(await producer.send_batch(batch, name, partition=partition))
                batch = producer.create_batch()
                batch.append(key=key, value=value, timestamp=None, headers=given)
        waiting.append(await producer.send_batch(batch, name, partition=partition))
        for future in waiting:
            await future

    @contextlib.contextmanager
    def feed(self) -> Iterator["Feed"]:
        feed = Feed(self)
        try:
            yield feed
        finally:
            feed.close()

    # -- reading

    def records(self, name: str, since: float = 0.0) -> Iterator[Any]:
        """All records of a topic as of now, or those appended after a moment."""
        with self._consumer() as consumer:
            found = consumer.partitions_for_topic(name) or set()
            parts = [TopicPartition(name, number) for number in sorted(found)]
            consumer.assign(parts)
            ends = consumer.end_offsets(parts)
            consumer.seek_to_beginning(*parts)
            if since:
                starts = consumer.offsets_for_times({part: int(since * 1000) for part in parts})
                for part in parts:
                    consumer.seek(part, starts[part].offset if starts.get(part) else ends[part])
            while any(consumer.position(part) < ends[part] for part in parts):
                for batch in consumer.poll(timeout_ms=200).values():
                    yield from batch

    def values(self, indicator: str | None = None) -> Iterator[Seen]:
        """All records of ``indicator.values``, or those of one indicator."""
        ending = None if indicator is None else f"/{indicator}".encode()
        for record in self.records(self.name(topics.VALUES)):
            if ending is None or record.key.endswith(ending):
                yield _seen(record)

    def changes(self) -> Iterator[tuple[int, int, float, str]]:
        """``(partition, offset, appended, practice)`` of the change sets."""
        for record in self.records(self.name(topics.CHANGES)):
            if header(record.headers, "ce_type") == EventType.CHANGES:
                yield record.partition, record.offset, record.timestamp / 1000, record.key.decode()

    @contextlib.contextmanager
    def last_value(self) -> Iterator[Any]:
        """A function that gives a partition's value that counts most records, of the last few
        hundred, or None; cheap to ask often."""
        with self._consumer() as consumer:

            def newest(partition: int) -> Seen | None:
                part = TopicPartition(self.name(topics.VALUES), partition)
                consumer.assign([part])
                end = consumer.end_offsets([part])[part]
                if not end:
                    return None
                # a value that was overtaken in its batch keeps its place there: look at several
                consumer.seek(part, max(0, end - 500))
                found = [
                    _seen(record)
                    for batch in consumer.poll(timeout_ms=1000).values()
                    for record in batch
                ]
                return max(found, key=lambda seen: seen.offset, default=None)

            yield newest

    @contextlib.contextmanager
    def _consumer(self) -> Iterator[Any]:
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False)
        try:
            yield consumer
        finally:
            consumer.close()


class Feed:
    """Puts events into ``practice.changes``, as ingest and the scheduler do."""

    def __init__(self, place: Topics) -> None:
        self._place = place
        self._name = place.name(topics.CHANGES)
        self._headers = headers(EventType.CHANGES, "peerview/bench")
        self._producer = KafkaProducer(
            bootstrap_servers=place.bootstrap, compression_type="lz4", linger_ms=0
        )
        self._sent: list[Any] = []

    def change(self, practice: str, parts: Iterable[tuple[bytes, bytes]]) -> None:
        """Facts of ``(patient key, encoded facts)``; awaited by ``flush``."""
        self.send(
            self._place.partition_of(practice), practice.encode(), load.change_set(practice, parts)
        )

    def send(self, partition: int, key: bytes, value: bytes, given: Any = None) -> None:
        self._sent.append(
            self._producer.send(
                self._name,
                key=key,
                value=value,
                partition=partition,
                headers=given or self._headers,
            )
        )

    def tick(self, day: int) -> None:
        """The day ``day`` begins, in every partition."""
        event = ClockTicked(f"bench-{day}", day, day * load.DAY_MILLIS)
        given = headers(EventType.TICKED, "peerview/bench")
        for partition in range(self._place.partitions):
            self.send(partition, b"!", changes.encode(event), given)
        self._place.ticked = day

    def flush(self) -> None:
        self._producer.flush()
        for future in self._sent:
            future.get(timeout=60)
        self._sent.clear()

    def close(self) -> None:
        self.flush()
        self._producer.close()


def _seen(record: Any) -> Seen:
    value = _values.decode(record.value)
    counts = (
        value.denominator, value.numerator, value.met, value.miss, value.exception, value.excluded,
    )  # fmt: skip
    source = value.source
    return Seen(
        record.timestamp / 1000,
        source["partition"],
        source["offset"],
        value.practice,
        value.indicator,
        counts,
    )


def chunks(found: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(found), size):
        yield found[start : start + size]
