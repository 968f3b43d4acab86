"""CloudEvents 1.0 in Kafka's binary mode: the headers that every record carries."""

import os
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

Headers: TypeAlias = list[tuple[str, bytes]]

MSGPACK: Final = "application/msgpack"
JSON: Final = "application/json"


class EventType:
    """The names of all event types. One name a kind of record, everywhere."""

    CHANGES: Final = "peerview.practice.changes.v1"
    TICKED: Final = "peerview.clock.ticked.v1"
    CUT: Final = "peerview.release.cut.v1"
    REKEYED: Final = "peerview.patient.rekeyed.v1"
    REKEYING: Final = "peerview.practice.rekeying.v1"
    BACKFILLED: Final = "peerview.backfill.completed.v1"
    STATE: Final = "peerview.patient.state.v1"
    MARKER: Final = "peerview.partition.marker.v1"
    VALUE: Final = "peerview.indicator.value.v1"
    SNAPSHOT: Final = "peerview.indicator.snapshot.v1"
    AGREEMENT: Final = "peerview.agreement.changed.v1"
    CELL: Final = "peerview.peer.cell.v1"
    DERIVED: Final = "peerview.peer.derived.v1"
    DEAD_LETTER: Final = "peerview.dead.letter.v1"


def new_traceparent() -> str:
    """A fresh W3C trace context, for work that no caller traced."""
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"


def headers(
    event_type: str,
    source: str,
    *,
    content_type: str = MSGPACK,
    subject: str | None = None,
    event_id: str | None = None,
    time: datetime | None = None,
    traceparent: str | None = None,
    extra: Iterable[tuple[str, str]] = (),
) -> Headers:
    """Headers of one record. ``source`` names the producer, such as ``peerview/ingest``."""
    moment = time or datetime.now(UTC)
    found: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", (event_id or str(uuid.uuid4())).encode()),
        ("ce_source", source.encode()),
        ("ce_type", event_type.encode()),
        ("ce_time", moment.isoformat(timespec="milliseconds").encode()),
        ("content-type", content_type.encode()),
        ("traceparent", (traceparent or new_traceparent()).encode()),
    ]
    if subject is not None:
        found.append(("ce_subject", subject.encode()))
    found.extend((name, value.encode()) for name, value in extra)
    return found


def header(found: Sequence[tuple[str, bytes]] | None, name: str) -> str | None:
    """One header's text, None where it is absent."""
    for key, value in found or ():
        if key == name:
            return value.decode() if isinstance(value, bytes | bytearray) else str(value)
    return None
