"""The publisher before a real broker: every record's fate is asked for, and told."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from peerview_common.changes import MAX_RECORD_BYTES
from peerview_common.settings import IngestSettings
from peerview_common.topics import CHANGES, create_topics, practice_partition, topic_name
from peerview_ingest.publisher import (
    BrokerAwayError,
    BusyError,
    KafkaPublisher,
    RecordTooLargeError,
)
from tests.ingest.builders import PRACTICE

pytestmark = pytest.mark.broker


@pytest.fixture
async def publisher(
    bootstrap: str, topic_prefix: str, request: pytest.FixtureRequest
) -> AsyncIterator[KafkaPublisher]:
    config = getattr(request, "param", {})
    create_topics(bootstrap, [(topic_name(topic_prefix, CHANGES), 2, config)])
    settings = IngestSettings(
        kafka=bootstrap,
        topic_prefix=topic_prefix,
        partitions=2,
        delivery_timeout_ms=5_000,
        max_in_flight_bytes=1_000_000,
    )
    made = KafkaPublisher(settings)
    await made.start()
    assert made.wrong() is None
    yield made
    await made.stop()


def values(bootstrap: str, prefix: str) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        place = TopicPartition(topic_name(prefix, CHANGES), practice_partition(PRACTICE, 2))
        consumer.assign([place])
        end = consumer.end_offsets([place])[place]
        consumer.seek_to_beginning(place)
        found: list[Any] = []
        while consumer.position(place) < end:
            for batch in consumer.poll(timeout_ms=500).values():
                found.extend(record.value for record in batch)
        return found
    finally:
        consumer.close()


@pytest.mark.parametrize("publisher", [{"max.message.bytes": "50000"}], indirect=True)
async def test_one_record_that_fails_among_others_is_told(
    publisher: KafkaPublisher, bootstrap: str, topic_prefix: str
) -> None:
    """The broker refuses the second of three, and the client gives up what came after it."""
    with pytest.raises(BrokerAwayError) as failed:
        await publisher.publish([b"first", os.urandom(200_000), b"third"], PRACTICE, None)
    assert failed.value.sent
    there = values(bootstrap, topic_prefix)
    assert failed.value.written == len(there)
    assert there in ([b"first"], [b"first", b"third"])


async def test_a_record_at_the_bound_is_taken_and_one_above_it_is_not_tried(
    publisher: KafkaPublisher, bootstrap: str, topic_prefix: str
) -> None:
    whole = os.urandom(MAX_RECORD_BYTES)
    (position,) = await publisher.publish([whole], PRACTICE, None)
    assert position.partition == practice_partition(PRACTICE, 2)
    with pytest.raises(RecordTooLargeError):
        await publisher.publish([b"first", os.urandom(MAX_RECORD_BYTES + 1)], PRACTICE, None)
    assert publisher.wrong() is None, "the broker is not to blame"
    assert values(bootstrap, topic_prefix) == [whole]
    await publisher.publish([b"next"], PRACTICE, None)


async def test_bytes_in_flight_are_bounded_and_given_back(publisher: KafkaPublisher) -> None:
    half = [os.urandom(300_000), os.urandom(300_000)]
    first = asyncio.create_task(publisher.publish(half, PRACTICE, None))
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await publisher.publish(half, PRACTICE, None)
    assert len(await first) == 2
    assert len(await publisher.publish(half, PRACTICE, None)) == 2
