"""Records to ``practice.changes``: sent by kafka-python, awaited one by one.

The producer has no asyncio and no memory bound of its own. Its futures are bridged into the event
loop, bytes in flight are counted here, and nobody is told "accepted" before every acknowledgement.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaError

from peerview_common import cloudevents, metrics
from peerview_common.changes import MAX_RECORD_BYTES
from peerview_common.settings import IngestSettings, Mode
from peerview_common.topics import (
    CHANGES,
    MAX_MESSAGE_BYTES,
    practice_partition,
    provision,
    topic_name,
)

PROBE_SECONDS: Final = 2.0
BLOCK_MS: Final = 2_000
CONNECT_MS: Final = 3_000
CHANGE_SET: Final = cloudevents.EventType.CHANGES

log = structlog.get_logger("peerview.ingest.publisher")


class BrokerAwayError(Exception):
    """Not every record was acknowledged: ``written`` were; without ``sent``, none was tried."""

    def __init__(self, reason: str, written: int, *, sent: bool) -> None:
        super().__init__(reason)
        self.written = written
        self.sent = sent


class RecordTooLargeError(Exception):
    """A record that the log would refuse. It is the record's fault, not the broker's."""


class BusyError(Exception):
    """Too much awaits acknowledgement."""


@dataclass(frozen=True, slots=True)
class Position:
    partition: int
    offset: int


class Publisher(Protocol):
    """Hands records to the log. Nothing may be sent after ``stop``."""

    async def publish(
        self,
        changes: Sequence[bytes],
        practice: str,
        traceparent: str | None,
        kinds: Sequence[str] | None = None,
    ) -> list[Position]:
        """Send every record, in this order, and wait for all acknowledgements.

        ``kinds`` gives each record's ``ce_type``; without it all are change sets. Raises BusyError
        and RecordTooLargeError before anything is sent, BrokerAwayError when one record failed.
        """

    def wrong(self) -> str | None:
        """What is wrong with the broker; None when it answers."""


class KafkaPublisher:
    """One producer, made in the background until a broker answers, and kept."""

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._topic = topic_name(settings.topic_prefix, CHANGES)
        self._producer: KafkaProducer | None = None
        self._spent: KafkaProducer | None = None
        self._wrong: str | None = "not connected yet"
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._tried = threading.Event()
        self._thread: threading.Thread | None = None
        self._in_flight = 0

    async def start(self) -> None:
        """Begin to connect; gives a broker that is there a moment to answer."""
        self._thread = threading.Thread(target=self._watch, name="publisher", daemon=True)
        self._thread.start()
        await asyncio.to_thread(self._tried.wait, CONNECT_MS / 1000 + 1)

    async def stop(self) -> None:
        """Send what is in flight, then close."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, CONNECT_MS / 1000 + 1)
        if self._producer is not None:
            await asyncio.to_thread(_close, self._producer, 10)

    def wrong(self) -> str | None:
        return self._wrong

    async def publish(
        self,
        changes: Sequence[bytes],
        practice: str,
        traceparent: str | None,
        kinds: Sequence[str] | None = None,
    ) -> list[Position]:
        total = len(changes)
        size = sum(map(len, changes))
        if any(len(each) > MAX_RECORD_BYTES for each in changes):
            # sent, it would fail like a record of which the broker knows nothing
            raise RecordTooLargeError
        if self._in_flight and self._in_flight + size > self._settings.max_in_flight_bytes:
            raise BusyError("too much awaits acknowledgement")
        producer = self._producer
        if producer is None or self._wrong is not None:
            raise BrokerAwayError(self._wrong or "not connected", 0, sent=False)
        self._count(size)
        began = time.perf_counter()
        try:
            outcomes = await self._send(
                producer, changes, kinds or [CHANGE_SET] * total, practice, traceparent
            )
        finally:
            self._count(-size)
        failed = [error for error in outcomes if isinstance(error, BaseException)]
        metrics.published.labels("acknowledged").inc(total - len(failed))
        if failed:
            metrics.published.labels("failed").inc(len(failed))
            self._wrong = "a record was not acknowledged in time"
            self._spent = producer
            self._wake.set()
            raise BrokerAwayError(type(failed[0]).__name__, total - len(failed), sent=True)
        metrics.publish_seconds.observe(time.perf_counter() - began)
        return [outcome for outcome in outcomes if isinstance(outcome, Position)]

    def _count(self, size: int) -> None:
        self._in_flight += size
        metrics.in_flight.set(self._in_flight)

    async def _send(
        self,
        producer: KafkaProducer,
        changes: Sequence[bytes],
        kinds: Sequence[str],
        practice: str,
        traceparent: str | None,
    ) -> list[Position | BaseException]:
        loop = asyncio.get_running_loop()
        partition = practice_partition(practice, self._settings.partitions)
        waiting: list[asyncio.Future[Position]] = []
        for value, kind in zip(changes, kinds, strict=True):
            answer: asyncio.Future[Position] = loop.create_future()
            waiting.append(answer)
            headers = cloudevents.headers(
                kind,
                "peerview/ingest",
                subject=practice,
                traceparent=traceparent,
            )
            try:
                sent = producer.send(
                    self._topic,
                    value=value,
                    key=practice.encode(),
                    headers=headers,
                    partition=partition,
                )
            except (KafkaError, AssertionError, ValueError) as error:
                answer.set_exception(error)
                break
            sent.add_callback(_bridge, loop, answer)
            sent.add_errback(_bridge_error, loop, answer)
        limit = self._settings.delivery_timeout_ms / 1000 + 5
        done, late = await asyncio.wait(waiting, timeout=limit)
        outcomes: list[Position | BaseException] = [
            TimeoutError("no answer from the producer") for _ in late
        ]
        for answer in waiting:
            if answer in done:
                failure = answer.exception()
                outcomes.append(failure if failure is not None else answer.result())
        missing = len(changes) - len(outcomes)
        outcomes.extend(ConnectionError("not sent") for _ in range(missing))
        return outcomes

    # -- the watching thread: connects, and asks the broker now and then whether it is there

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                self._discard_spent()
                if self._producer is None:
                    self._connect()
                else:
                    self._probe(self._producer)
                self._set(None)
            except Exception as error:  # whatever it is, it is the broker's state, and is told
                self._set(f"the broker does not answer ({type(error).__name__})")
            pause = PROBE_SECONDS if self._wrong is None else 0.25
            self._wake.wait(pause)
            self._wake.clear()

    def _discard_spent(self) -> None:
        """Part with a producer that failed to deliver.

        An idempotent producer of kafka-python that has given a batch up can stay stuck on its
        sequence numbers for good, though the broker is back; a new one starts afresh.
        """
        spent, self._spent = self._spent, None
        if spent is not None and spent is self._producer:
            self._producer = None
            _close(spent, 0)

    def _set(self, wrong: str | None) -> None:
        if wrong != self._wrong:
            tell = log.info if wrong is None else log.warning
            tell("broker", answers=wrong is None, reason=wrong)
        self._wrong = wrong
        self._tried.set()

    def _connect(self) -> None:
        settings = self._settings
        client: dict[str, Any] = {"bootstrap_timeout_ms": CONNECT_MS}
        producer = KafkaProducer(
            bootstrap_servers=settings.kafka.split(","),
            client_id="peerview-ingest",
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            linger_ms=0,  # somebody waits for each; a batch is what one submission brings
            batch_size=131_072,
            max_request_size=MAX_MESSAGE_BYTES,
            max_block_ms=BLOCK_MS,
            delivery_timeout_ms=settings.delivery_timeout_ms,
            request_timeout_ms=max(1_000, settings.delivery_timeout_ms // 2),
            reconnect_backoff_max_ms=1_000,
            retry_backoff_ms=100,
            allow_auto_create_topics=False,
            **client,
        )
        try:
            if settings.mode is not Mode.PRODUCTION:
                provision(
                    settings.kafka,
                    prefix=settings.topic_prefix,
                    partitions=settings.partitions,
                    replication=settings.replication,
                    topics=[CHANGES],
                    client=client,
                )
            there = len(producer.partitions_for(self._topic))
            if there != settings.partitions:
                log.error("partitions", topic=self._topic, there=there, set=settings.partitions)
                raise PartitionsError(f"{there} partitions, not {settings.partitions}")
        except BaseException:
            _close(producer, 0)
            raise
        self._producer = producer

    @staticmethod
    def _probe(producer: KafkaProducer) -> None:
        """A refresh of the metadata, the cheapest question that needs an answer.

        kafka-python has no public call for it: partitions_for answers from its cache.
        """
        asked = producer._metadata.request_update()
        done = threading.Event()
        asked.add_both(lambda *_: done.set())
        producer._sender.wakeup()
        if not done.wait(BLOCK_MS / 1000):
            raise TimeoutError("metadata")
        if asked.failed():
            raise asked.exception


class PartitionsError(Exception):
    """The topic was provisioned with another number of partitions than the setting says."""


def _close(producer: KafkaProducer, seconds: float) -> None:
    """Close it, by force when it cannot deliver what it holds within ``seconds``."""
    try:
        producer.close(seconds)
    except KafkaError:
        # close gives up before it has ended the sender's thread
        producer._sender.force_close()


def _bridge(
    loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[Position]", record: Any
) -> None:
    position = Position(record.partition, record.offset)
    with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
        loop.call_soon_threadsafe(_set_result, answer, position)


def _bridge_error(
    loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[Position]", error: BaseException
) -> None:
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_set_error, answer, error)


def _set_result(answer: "asyncio.Future[Position]", position: Position) -> None:
    if not answer.done():
        answer.set_result(position)


def _set_error(answer: "asyncio.Future[Position]", error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
