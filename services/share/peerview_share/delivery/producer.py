"""Sending to the log, and knowing that it arrived."""

from collections.abc import Iterable
from typing import Any, Final

from kafka import KafkaProducer

from peerview_common.cloudevents import Headers
from peerview_share.consume.reader import RECONNECT_MS

SEND_S: Final = 20.0


class LogProducer:
    """kafka-python's producer, made on first use and again after a failure. One thread's."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._producer: Any = None

    def partitions(self, topic: str) -> list[int]:
        return sorted(self._open().partitions_for(topic) or ())

    def send_all(
        self, records: Iterable[tuple[str, int | None, bytes | None, bytes | None, Headers]]
    ) -> None:
        """Send ``(topic, partition, key, value, headers)`` in order and await every one.

        Raises KafkaError when any failed; the caller sends all of them again.
        """
        producer = self._open()
        try:
            futures = [
                producer.send(topic, value=value, key=key, partition=partition, headers=headers)
                for topic, partition, key, value, headers in records
            ]
            producer.flush(timeout=SEND_S)
            for future in futures:
                future.get(timeout=SEND_S)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close(timeout=1)
            self._producer = None

    def _open(self) -> Any:
        if self._producer is None:
            self._producer = KafkaProducer(
                bootstrap_servers=self._bootstrap.split(","),
                acks="all",
                enable_idempotence=True,
                linger_ms=2,
                max_block_ms=5_000,
                delivery_timeout_ms=15_000,
                request_timeout_ms=10_000,
                reconnect_backoff_max_ms=RECONNECT_MS,
            )
        return self._producer
