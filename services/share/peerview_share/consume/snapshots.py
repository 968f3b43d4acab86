"""``indicator.snapshots`` to whole snapshots. Only the leader reads it.

The first complete attempt of a practice wins; what comes after its epoch closed is discarded.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from sqlalchemy import Connection

from peerview_common.snapshots import BrokenSnapshot, SnapshotChunk, decode_chunk, join_chunks
from peerview_share.consume.reader import next_offsets
from peerview_share.store import epochs, live
from peerview_share.store.database import Database

log = structlog.get_logger("peerview.share.snapshots")


class SnapshotAssembler:
    def __init__(self, database: Database, topic: str, clock: Callable[[], int]) -> None:
        self._database = database
        self._topic = topic
        self._clock = clock

    def offsets(self) -> dict[int, int]:
        with self._database.read() as connection:
            return live.offsets(connection, self._topic)

    def take(self, records: list[Any]) -> None:
        """The records' effects and how far the topic was read, in one transaction."""
        if not records:
            return
        with self._database.write() as connection:
            epoch = epochs.unpublished(connection)
            awaited = None if epoch is None or epoch.closed_at else epoch.number
            for record in records:
                chunk = _decoded(record)
                if chunk is None:
                    continue
                if chunk.cut != awaited:
                    log.info("late snapshot discarded", practice=chunk.practice, cut=chunk.cut)
                    continue
                self._keep(connection, chunk)
            live.save_offsets(connection, self._topic, next_offsets(records))

    def _keep(self, connection: Connection, chunk: SnapshotChunk) -> None:
        together = epochs.save_chunk(connection, chunk)
        try:
            body = join_chunks(together)
        except BrokenSnapshot as error:
            log.error("broken snapshot", practice=chunk.practice, error=str(error))
            return
        if body is not None:
            epochs.save_snapshot(connection, chunk, body, self._clock())


def _decoded(record: Any) -> SnapshotChunk | None:
    try:
        return decode_chunk(record.value)
    except (msgspec.DecodeError, msgspec.ValidationError, BrokenSnapshot) as error:
        log.error("a chunk that cannot be read", offset=record.offset, error=str(error))
        return None
