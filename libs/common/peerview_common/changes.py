"""What travels in ``practice.changes``: change sets, and control events (time as data)."""

from typing import Final, TypeAlias

import msgspec

from peerview_common.cloudevents import EventType
from peerview_common.facts import Fact

FORMAT: Final = 1
MAX_RECORD_BYTES: Final = 900_000
"""A submission is split between patients so that no record is larger."""


class PatientChange(msgspec.Struct, array_like=True, frozen=True):
    """New versions of facts of one patient. Facts of an older generation count for nothing."""

    patient: bytes
    """The 16-byte patient key."""
    generation: int
    """Raised when a patient opts out (then ``objected``, no facts) and again when they opt in."""
    objected: bool
    facts: list[Fact]


class ChangeSet(msgspec.Struct, frozen=True):
    """One submission, or a part of one, of one practice. A MessagePack map."""

    format: int
    practice: str
    source: str
    """The source system's name."""
    submission: str
    received: int
    """Milliseconds UTC at which ingest received it."""
    data_through: int
    """Milliseconds UTC up to which the practice's feed is known to be whole: the newest receipt or
    heartbeat."""
    codes: str
    """Version of the code list that it was minimised with."""
    patients: list[PatientChange]


class ClockTicked(msgspec.Struct, frozen=True):
    """The as-of day is the greatest ``day`` seen; a lower one is ignored."""

    id: str
    day: int
    at: int
    """Milliseconds UTC at which the scheduler sent it."""


class ReleaseCut(msgspec.Struct, frozen=True):
    """A barrier: every practice's snapshot as of ``day``, before anything later is read."""

    id: str
    cut: int
    """The cut's number; numbers only grow. A worker skips a cut at or below its marker."""
    day: int
    at: int


class PatientRekeyed(msgspec.Struct, frozen=True):
    id: str
    practice: str
    old: bytes
    new: bytes
    old_source: str
    """The source name that facts of the old set carry from now on; empty when it is the same."""
    at: int


class PracticeRekeying(msgspec.Struct, frozen=True):
    """A practice's pseudonyms change: between ``ended`` false and true its patients may stand under
    two keys at once, so that none of its figures may be used."""

    id: str
    practice: str
    version: int
    """Of the keys that it goes over to; versions only grow."""
    ended: bool
    at: int


class BackfillCompleted(msgspec.Struct, frozen=True):
    """A full submission under the code list ``codes`` has ended."""

    id: str
    practice: str
    codes: str
    at: int


Control: TypeAlias = (
    ClockTicked | ReleaseCut | PatientRekeyed | PracticeRekeying | BackfillCompleted
)

_TYPES: Final[dict[str, type[ChangeSet] | type[Control]]] = {
    EventType.CHANGES: ChangeSet,
    EventType.TICKED: ClockTicked,
    EventType.CUT: ReleaseCut,
    EventType.REKEYED: PatientRekeyed,
    EventType.REKEYING: PracticeRekeying,
    EventType.BACKFILLED: BackfillCompleted,
}
_encoder = msgspec.msgpack.Encoder()
_decoders = {name: msgspec.msgpack.Decoder(kind) for name, kind in _TYPES.items()}
_names = {kind: name for name, kind in _TYPES.items()}


class UnknownEvent(ValueError):
    """A record whose ``ce_type`` is not one of ``practice.changes``."""


def encode(event: ChangeSet | Control) -> bytes:
    return _encoder.encode(event)


def event_type(event: ChangeSet | Control) -> str:
    return event_type_of(type(event))


def event_type_of(kind: type[ChangeSet] | type[Control]) -> str:
    """The ``ce_type`` of events of one kind."""
    return _names[kind]


def decode(ce_type: str | None, value: bytes) -> ChangeSet | Control:
    """The event in a record of ``practice.changes``.

    Raises UnknownEvent for another type, ``msgspec.DecodeError`` for bytes that are not one,
    ValueError for a format that is too new.
    """
    decoder = _decoders.get(ce_type or "")
    if decoder is None:
        raise UnknownEvent(f"unknown event type {ce_type!r}")
    event: ChangeSet | Control = decoder.decode(value)
    if isinstance(event, ChangeSet) and event.format != FORMAT:
        raise ValueError(f"change set of format {event.format}, this reader knows {FORMAT}")
    return event


def encoded_size(change: PatientChange) -> int:
    """Bytes that one patient's part adds to a record."""
    return len(_encoder.encode(change))
