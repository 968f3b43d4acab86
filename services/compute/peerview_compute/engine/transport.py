"""Faust's Kafka transport, with a lease that heartbeats renew."""

from typing import Any, ClassVar

from faust.transport.consumer import Consumer as BaseConsumer
from faust.transport.drivers import aiokafka as driver

from peerview_compute.engine.lease import Lease


class LeasedThread(driver.AIOKafkaConsumerThread):
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
    lease: ClassVar[Lease]

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


def leased_transport(lease: Lease) -> type[driver.Transport]:
    """A transport whose consumer renews ``lease``."""

    class Consumer(LeasedConsumer):
        pass

    Consumer.lease = lease

    class Transport(driver.Transport):
        pass

    Transport.Consumer = Consumer
    return Transport
