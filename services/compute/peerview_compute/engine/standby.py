"""Standbys: partitions of others whose states are read all the time, to be taken over at once.

Faust says which partitions these are, and is not asked for more: its own reading of standbys stops
with the first rebalance that finds nothing to recover (0.15.3).
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import aiokafka
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from peerview_common import metrics

POLL_MS: Final = 300
RETRY_S: Final = 1.0
SLICE_S: Final = 0.01
"""Longest stretch of reading for standbys: records of our own partitions come first."""
AT_ONCE: Final = 500
"""Records asked for at a time."""

Read = Callable[[int, Any], bool]
"""Takes a record of a partition over; False where the partition is no standby of ours any more."""


class Follower:
    """Reads the changelogs of the partitions that ``follow`` names, as long as it is run."""

    def __init__(self, bootstrap: str, topic: str, read: Read) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._read = read
        self._wanted: dict[int, int] = {}
        self._changed = asyncio.Event()

    def follow(self, starts: dict[int, int]) -> None:
        """Read these partitions from these offsets on, in the place of those before."""
        self._wanted = starts
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled. A broker that does not answer is asked again."""
        while True:
            while not self._wanted:
                await self._changed.wait()
                self._changed.clear()
            consumer = aiokafka.AIOKafkaConsumer(
                bootstrap_servers=self._bootstrap,
                enable_auto_commit=False,
                check_crcs=False,
                auto_offset_reset="earliest",
                max_poll_records=AT_ONCE,
            )
            try:
                await consumer.start()
                await self._follow(consumer)
            except KafkaError:
                await asyncio.sleep(RETRY_S)
            finally:
                await consumer.stop()

    async def _follow(self, consumer: Any) -> None:
        """Until nothing is to be followed. What was read last is asked for again after a change:
        states are joined, so a record that comes twice does nothing."""
        while self._wanted:
            self._changed.clear()
            parts = {TopicPartition(self._topic, n): start for n, start in self._wanted.items()}
            consumer.assign(list(parts))
            for part, start in parts.items():
                consumer.seek(part, start)
            while not self._changed.is_set():
                until = time.perf_counter() + SLICE_S
                for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                    for record in records:
                        if self._changed.is_set() or not self._read(record.partition, record):
                            break
                        metrics.standby_records.inc()
                        if time.perf_counter() >= until:
                            await asyncio.sleep(0)
                            until = time.perf_counter() + SLICE_S
