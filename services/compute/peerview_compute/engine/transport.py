"""Faust's Kafka transport, with what it lacks: a lease that heartbeats renew, and commits that are
exactly as far as the work is in the log."""

import logging
from collections.abc import Callable
from typing import Any, ClassVar

from faust.transport.consumer import Consumer as BaseConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.queues import FlowControlEvent

from peerview_compute.engine.lease import Lease

SafeOffset = Callable[[TP], int | None]
"""Up to where a partition may be committed: the next offset to read. None for nothing new."""


class KeepingFlowControl(FlowControlEvent):
    """Faust resumes the flow a second time after it sought the committed offsets, and resuming
    empties the queues: records that were fetched in between would be lost, and then committed."""

    def resume(self) -> None:
        if not self.is_active():
            super().resume()


FAUST_LOG = logging.getLogger("faust")
"""What Faust's services say of themselves, ours of its kind included."""


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

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        self.lease.renew()
        await super().on_partitions_assigned(assigned, generation_id)


class LeasedConsumer(driver.Consumer):
    logger = FAUST_LOG
    lease: ClassVar[Lease]
    safe_offset: ClassVar[SafeOffset]

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

    async def starts(self, tps: set[TP]) -> dict[TP, int]:
        """Where reading goes on: the committed offset, else the beginning of the log."""
        earliest = await self.earliest_offsets(*tps)
        found = {}
        for tp in tps:
            consumer = self._thread._ensure_consumer()
            committed = await self._thread.call_thread(consumer.committed, tp)
            found[tp] = max(committed or 0, earliest[tp] or 0)
        return found


def leased_transport(lease: Lease, safe_offset: SafeOffset) -> type[driver.Transport]:
    """A transport whose consumer renews ``lease`` and commits what ``safe_offset`` says."""

    class Consumer(LeasedConsumer):
        pass

    Consumer.lease = lease
    Consumer.safe_offset = staticmethod(safe_offset)

    class Transport(driver.Transport):
        pass

    Transport.Consumer = Consumer
    return Transport
