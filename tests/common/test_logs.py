"""What other libraries say is told seldom, and what the service says always."""

import logging

from peerview_common.logs import AGAIN_S, Seldom


def record(name: str, message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "", 0, message, args, None)


def test_a_message_of_a_kafka_client_is_told_once_a_minute() -> None:
    now = [1_000.0]
    seldom = Seldom(lambda: now[0])
    failed = "Connection failed: %s (backoff %s secs)"
    told = [seldom.filter(record("kafka.conn", failed, 111, wait)) for wait in (0.1, 0.43, 1.08)]
    assert told == [True, False, False]
    assert seldom.filter(record("kafka.conn", "something else"))
    assert seldom.filter(record("kafka.client", failed, 111, 0.1)), "of another part"
    now[0] += AGAIN_S
    assert seldom.filter(record("kafka.conn", failed, 111, 0.1))


def test_what_the_service_says_is_always_told() -> None:
    seldom = Seldom(lambda: 0.0)
    for name in ("peerview.ingest", "ingest", "kafkaesque"):
        assert [seldom.filter(record(name, "fault")) for _ in range(3)] == [True] * 3
