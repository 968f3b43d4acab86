"""The end of a partition's changelog: what of it we know, and what somebody else has written.

A worker that was frozen may send a last batch after others took over. States join, so nothing is
wrong at once; but its record is then the newest of its key, and compaction would keep that one
alone. The offsets of our own batches betray it: they follow each other without a hole unless
somebody wrote in between. Whatever stands in a hole is read, joined and written again. Of
``indicator.values``, which are absolute, ours are simply sent again.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiokafka
from aiokafka import TopicPartition


class Tail:
    """Offsets of one partition of ``patient.state`` or ``indicator.values``."""

    __slots__ = ("holes", "next")

    def __init__(self, after: int) -> None:
        self.next = after
        """The offset that our next record should get."""
        self.holes: list[tuple[int, int]] = []
        """``(from, to)`` of records that are not ours, not yet read."""

    def wrote(self, base: int, count: int) -> None:
        """A batch of ours was acknowledged."""
        self.ends_at(base)
        self.next = max(self.next, base + count)

    def ends_at(self, end: int) -> None:
        """The log is this long, and we have nothing on its way."""
        if end > self.next:
            self.holes.append((self.next, end))
            self.next = end

    @property
    def known(self) -> int:
        """Every record before this offset is ours, or was read."""
        return min((start for start, _ in self.holes), default=self.next)


class Changelog:
    """Reads ``patient.state`` beside Faust, whose recovery handles one record at a time."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._topic = topic
        self._bootstrap = bootstrap

    async def read(
        self, spans: dict[int, int], go_on: Callable[[], bool]
    ) -> AsyncIterator[list[Any]]:
        """Records of the partitions ``{number: first offset}`` up to their ends as of now. When it
        ends, ``spans`` holds the offsets after the last record of each. Stops early, with ``spans``
        untouched, when ``go_on`` says no."""
        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            enable_auto_commit=False,
            check_crcs=False,
            max_partition_fetch_bytes=4_000_000,
            fetch_max_wait_ms=100,
        )
        await consumer.start()
        try:
            parts = {TopicPartition(self._topic, number): first for number, first in spans.items()}
            consumer.assign(list(parts))
            ends = await consumer.end_offsets(list(parts))
            begins = await consumer.beginning_offsets(list(parts))
            left = set()
            for part, first in parts.items():
                begin = max(first, begins[part])
                if begin < ends[part]:
                    consumer.seek(part, begin)
                    left.add(part)
                else:
                    consumer.pause(part)
            while left and go_on():
                found = await consumer.getmany(timeout_ms=200)
                for records in found.values():
                    yield records
                for part in list(left):
                    if await consumer.position(part) >= ends[part]:
                        left.discard(part)
            if not left:
                spans.update({part.partition: end for part, end in ends.items()})
        finally:
            await consumer.stop()

    async def ends(self, numbers: list[int]) -> dict[int, int]:
        """Where the partitions end now."""
        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, enable_auto_commit=False
        )
        await consumer.start()
        try:
            parts = [TopicPartition(self._topic, number) for number in numbers]
            found = await consumer.end_offsets(parts)
            return {part.partition: end for part, end in found.items()}
        finally:
            await consumer.stop()
