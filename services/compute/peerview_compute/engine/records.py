"""What ``patient.state`` holds beside patients: keys, the partition's marker, a practice's notes.

Like patients' states, both are joined when several records of one key are read, and the join is
associative, commutative and idempotent. Described in ``docs/formats.md``.
"""

from typing import Final

import msgspec

FORMAT: Final = 1

MARKER_SIGN: Final = b"!"
"""Starts a marker's key (``!3``) and ends that of a practice's notes (``A99001!``)."""


class UnreadableRecord(ValueError):
    """A record of ``patient.state`` that cannot be taken for anything."""


class Marker(msgspec.Struct, array_like=True, frozen=True):
    """How far a partition has come."""

    format: int = FORMAT
    as_of: int | None = None
    """The as-of day: the greatest tick seen, from the moment at which work on it begins."""
    done: int | None = None
    """The last day whose tick was finished, all its values sent."""
    ticked: int = -1
    """The offset of the tick of ``as_of`` in ``practice.changes``."""
    cut: int = 0
    """The number of the last release cut whose snapshots are all acknowledged."""
    offset: int = -1
    """The offset of that cut in ``practice.changes``."""

    def join(self, other: "Marker") -> "Marker":
        return Marker(
            FORMAT,
            _later(self.as_of, other.as_of),
            _later(self.done, other.done),
            max(self.ticked, other.ticked),
            max(self.cut, other.cut),
            max(self.offset, other.offset),
        )


class Notes(msgspec.Struct, array_like=True, frozen=True):
    """What a practice's feed has told about itself."""

    format: int = FORMAT
    data_through: int = 0
    """Milliseconds UTC up to which the feed is known to be whole."""
    position: int = -1
    """The offset of the practice's last record in ``practice.changes``."""
    codes: dict[str, int] = {}
    """Versions of the code list under which a full submission has ended: when, in milliseconds."""

    def join(self, other: "Notes") -> "Notes":
        codes = dict(sorted({**self.codes, **other.codes}.items()))
        for version, at in self.codes.items():
            codes[version] = max(at, codes[version])
        return Notes(
            FORMAT,
            max(self.data_through, other.data_through),
            max(self.position, other.position),
            codes,
        )


def _later(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else max(a, b)


_encoder = msgspec.msgpack.Encoder(order="sorted")
_markers = msgspec.msgpack.Decoder(Marker)
_notes = msgspec.msgpack.Decoder(Notes)


def encode(record: Marker | Notes) -> bytes:
    return _encoder.encode(record)


def decode_marker(data: bytes) -> Marker:
    """Raises UnreadableRecord."""
    try:
        marker = _markers.decode(data)
    except msgspec.DecodeError as error:
        raise UnreadableRecord(f"not a marker: {error}") from error
    _check(marker.format)
    return marker


def decode_notes(data: bytes) -> Notes:
    """Raises UnreadableRecord."""
    try:
        notes = _notes.decode(data)
    except msgspec.DecodeError as error:
        raise UnreadableRecord(f"not a practice's notes: {error}") from error
    _check(notes.format)
    return notes


def _check(found: int) -> None:
    if found != FORMAT:
        raise UnreadableRecord(f"record of format {found}, this reader knows {FORMAT}")


def patient_key(practice: str, patient: bytes) -> bytes:
    return f"{practice}/{patient.hex()}".encode()


def split_patient_key(key: bytes) -> tuple[str, bytes]:
    """Raises UnreadableRecord."""
    practice, slash, patient = key.partition(b"/")
    try:
        if slash:
            return practice.decode(), bytes.fromhex(patient.decode())
    except ValueError:
        pass
    raise UnreadableRecord(f"no key of patient.state: {key!r}")


def marker_key(partition: int) -> bytes:
    return MARKER_SIGN + str(partition).encode()


def notes_key(practice: str) -> bytes:
    return practice.encode() + MARKER_SIGN
