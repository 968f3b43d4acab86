"""A topic read from offsets that are kept in share's database, with the effects."""

from collections.abc import Mapping
from typing import Any

from kafka import KafkaConsumer, TopicPartition

MAX_RECORDS = 2_000
RECONNECT_MS = 1_000
"""Longest wait between attempts to reach a broker that went away (kafka-python's is 30 s)."""


class TopicReader:
    """All partitions of one topic, without a consumer group: the database says where to go on.

    Not thread-safe. Raises KafkaError (LookupError when the topic is not there) from the
    constructor; `poll` returns nothing while the broker is away.
    """

    def __init__(self, bootstrap: str, topic: str, offsets: Mapping[int, int]) -> None:
        self.topic = topic
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap.split(","),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # the broker answers as soon as there is one byte
            fetch_min_bytes=1,
            fetch_max_wait_ms=500,
            max_poll_records=MAX_RECORDS,
            reconnect_backoff_max_ms=RECONNECT_MS,
        )
        try:
            partitions = self._consumer.partitions_for_topic(topic)
            if not partitions:
                raise LookupError(f"no topic {topic}")
            assigned = [TopicPartition(topic, partition) for partition in sorted(partitions)]
            self._consumer.assign(assigned)
            for place in assigned:
                start = offsets.get(place.partition)
                if start is None:
                    self._consumer.seek_to_beginning(place)
                else:
                    self._consumer.seek(place, start)
        except BaseException:
            self._consumer.close()
            raise

    def poll(self, timeout_ms: int) -> list[Any]:
        """Records in each partition's order; waits up to ``timeout_ms`` for the first."""
        batches = self._consumer.poll(timeout_ms=timeout_ms)
        return [record for records in batches.values() for record in records]

    def close(self) -> None:
        self._consumer.close()


def next_offsets(records: list[Any]) -> dict[int, int]:
    """``{partition: the offset after the last one read}``"""
    found: dict[int, int] = {}
    for record in records:
        found[record.partition] = max(found.get(record.partition, 0), record.offset + 1)
    return found
