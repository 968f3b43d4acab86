"""``indicator.values`` to live figures: visible at once, kept in the database soon after.

A figure is absolute, so reading one again after a crash changes nothing: memory may run ahead of
the database, and reads need not wait for a commit.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from kafka.errors import KafkaError
from sqlalchemy.exc import SQLAlchemyError

from peerview_common import metrics
from peerview_common.values import IndicatorValue, decode_value
from peerview_share.consume.live import LiveFigures
from peerview_share.consume.reader import TopicReader, next_offsets
from peerview_share.store import live as store
from peerview_share.store.database import Database

log = structlog.get_logger("peerview.share.values")

POLL_MS: Final = 200
QUIET_MS: Final = 30
"""The database is written once nothing came for so long: a commit in a busy moment would delay the
next figure by a disk's flush."""
SAVE_AFTER_S: Final = 0.25
"""While records keep coming, the database is written this often."""
RETRY_S: Final = 1.0


class ValuesConsumer:
    """A thread. ``open_reader`` makes a reader that starts at the given offsets."""

    def __init__(
        self,
        database: Database,
        figures: LiveFigures,
        topic: str,
        open_reader: Callable[[dict[int, int]], TopicReader],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._figures = figures
        self._topic = topic
        self._open_reader = open_reader
        self._monotonic = monotonic
        self._dirty: dict[tuple[str, str], tuple[IndicatorValue, int, int]] = {}
        self._offsets: dict[int, int] = {}
        self._saved = monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="values", daemon=True)
        self.problem: str | None = "not started"
        """What is wrong, None while it reads."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except (KafkaError, SQLAlchemyError, LookupError, OSError) as error:
                # anybody may read it in /health/ready: what the text names is for the log
                self.problem = type(error).__name__
                log.warning("values not read, trying again", error=repr(error))
                self._stop.wait(RETRY_S)

    def _read(self) -> None:
        with self._database.read() as connection:
            offsets = store.offsets(connection, self._topic)
        reader = self._open_reader(offsets)
        try:
            self.problem = None
            while not self._stop.is_set():
                records = reader.poll(QUIET_MS if self._offsets else POLL_MS)
                for record in records:
                    self._take(record)
                self._offsets.update(next_offsets(records))
                if not records or self._monotonic() - self._saved > SAVE_AFTER_S:
                    self._save()
            self._save()
        finally:
            reader.close()

    def _take(self, record: object) -> None:
        body = record.value  # type: ignore[attr-defined]
        if body is None:
            return
        try:
            value = decode_value(body)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            # one broken record must not stop everybody's figures; the next absolute one heals it
            log.error("a value that cannot be read", error=str(error))
            return
        if not self._figures.put(value):
            log.warning("a late writer's value left out", practice=value.practice)
            return
        place = record.partition, record.offset  # type: ignore[attr-defined]
        self._dirty[value.practice, value.indicator] = (value, *place)
        metrics.values_applied.inc()

    def _save(self) -> None:
        self._saved = self._monotonic()
        if not self._offsets:
            return
        with self._database.write() as connection:
            store.save(connection, self._dirty.values())
            store.save_offsets(connection, self._topic, self._offsets)
        self._dirty = {}
        self._offsets = {}
