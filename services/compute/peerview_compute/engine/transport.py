"""Faust's Kafka transport, with what it lacks: a lease that heartbeats renew, and commits that are
exactly as far as the work is in the log."""

import asyncio
import functools
import logging
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

import aiokafka.codec
import structlog
from aiokafka.record import default_records
from faust.transport.consumer import Consumer as BaseConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from mode.utils.queues import FlowControlEvent

from peerview_compute.engine.lease import Lease

log = structlog.get_logger(__name__)

SafeOffset = Callable[[TP], int | None]
"""Up to where a partition may be committed: the next offset to read. None for nothing new."""


def compress_fast() -> None:
    """aiokafka compresses at lz4's level 9, which takes as long as all else that is done for a
    state: 44 MB/s. Level 1 does 680 MB/s, into half as many bytes more."""
    fast = functools.partial(aiokafka.codec.lz4_encode, level=1)
    built = sys.modules[default_records.DefaultRecordBatchBuilder.__module__]
    for module in (default_records, built):
        module.lz4_encode = fast


class KeepingFlowControl(FlowControlEvent):
    """Faust resumes the flow a second time after it sought the committed offsets, and resuming
    empties the queues: records that were fetched in between would be lost, and then committed."""

    def resume(self) -> None:
        if not self.is_active():
            super().resume()


DELIVERED = object()
FAUST_LOG = logging.getLogger("faust")
"""What Faust's services say of themselves, ours of its kind included."""


METADATA_MAX_AGE_S: Final = 5.0
"""After so long a topic that was not known becomes known, and the group is assigned anew."""
KNOWN_WITHIN_S: Final = 5.0


async def until_known(client: Any, topics: Iterable[str], seconds: float = KNOWN_WITHIN_S) -> None:
    """Ask for metadata until all ``topics`` are in it, or for so long.

    A broker that has just started may not know its topics yet. The leader of a group leaves out
    what it does not know: nobody would have anything until the metadata are looked at again.
    """
    end = time.monotonic() + seconds
    wanted = set(topics)
    while missing := [name for name in wanted if not client.cluster.partitions_for_topic(name)]:
        if time.monotonic() >= end:
            log.warning("topics unknown to the broker", topics=sorted(missing))
            return
        await client.force_metadata_update()
        await asyncio.sleep(0.1)


class LeasedThread(driver.AIOKafkaConsumerThread):
    logger = FAUST_LOG
    lease: Lease

    async def on_start(self) -> None:
        await super().on_start()
        coordinator = self._ensure_consumer()._coordinator
        beat = coordinator._do_heartbeat

        async def answered() -> bool:
            member = bool(await beat())
            if member:
                self.lease.renew()
            return member

        coordinator._do_heartbeat = answered
        perform = coordinator._perform_assignment

        async def informed(response: Any) -> Any:
            await until_known(coordinator._client, coordinator._subscription.topics)
            return await perform(response)

        coordinator._perform_assignment = informed

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        self.lease.renew()
        await super().on_partitions_assigned(assigned, generation_id)


class Received:
    """A record of a topic that is ours, and the way to say that it is done."""

    __slots__ = ("_consumer", "message")

    def __init__(self, message: Message, consumer: "LeasedConsumer") -> None:
        self.message = message
        self._consumer = consumer
        message.incref()
        consumer.track_message(message)

    def ack(self) -> bool:
        return self.message.ack(self._consumer)


Receive = Callable[[Received], None]


class LeasedConsumer(driver.Consumer):
    """Hands the records of one topic over as they are read. On Faust's way, through a conductor, a
    stream and an agent, with two tasks for each record, they cost a fifth of the worker's time."""

    logger = FAUST_LOG
    lease: ClassVar[Lease]
    safe_offset: ClassVar[SafeOffset]
    topic: ClassVar[str]
    receive: ClassVar[Receive]

    def __init__(self, transport: Any, callback: Any, **options: Any) -> None:
        def deliver(message: Message) -> Any:
            if message.topic != self.topic:
                return callback(message)
            if self.flow_active:
                type(self).receive(Received(message, self))
            return DELIVERED

        super().__init__(transport, deliver, **options)

    async def wait_first(self, *waiting: Any, timeout: Any = None) -> Any:
        if waiting[0] is not DELIVERED:
            return await super().wait_first(*waiting, timeout=timeout)
        for coroutine in waiting[1:]:
            coroutine.close()
        return None

    def _new_consumer_thread(self) -> LeasedThread:
        thread = LeasedThread(self, loop=self.loop, beacon=self.beacon)
        thread.lease = self.lease
        return thread

    async def _wait_next_records(self, timeout: float) -> Any:
        self.lease.poll()
        try:
            return await BaseConsumer._wait_next_records(self, timeout)
        finally:
            # waiting for the end of a rebalance is not being stuck
            self.lease.poll()

    def _new_offset(self, tp: TP) -> int | None:
        """Faust's own reckoning lets a commit pass one record that is not acknowledged."""
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return type(self).safe_offset(tp)

    def fetched_to(self, tp: TP) -> int | None:
        """The offset after the last record that was fetched. None where it is not known.

        Read beside the consumer's thread: asking it would wait for whatever it does.
        """
        assignment = self._thread._ensure_consumer()._subscription.subscription.assignment
        state = assignment.state_value(tp) if assignment is not None else None
        return state._position if state is not None else None

    async def starts(self, tps: set[TP]) -> dict[TP, int]:
        """Where reading goes on: the committed offset, else the beginning of the log."""
        earliest = await self.earliest_offsets(*tps)
        found = {}
        for tp in tps:
            consumer = self._thread._ensure_consumer()
            committed = await self._thread.call_thread(consumer.committed, tp)
            found[tp] = max(committed or 0, earliest[tp] or 0)
        return found


def leased_transport(
    lease: Lease, safe_offset: SafeOffset, topic: str, receive: Receive
) -> type[driver.Transport]:
    """A transport whose consumer renews ``lease``, commits what ``safe_offset`` says, and hands the
    records of ``topic`` to ``receive``."""

    class Consumer(LeasedConsumer):
        pass

    Consumer.lease = lease
    Consumer.safe_offset = staticmethod(safe_offset)
    Consumer.topic = topic
    Consumer.receive = staticmethod(receive)

    class Transport(driver.Transport):
        pass

    Transport.Consumer = Consumer
    return Transport
