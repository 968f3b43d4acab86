"""What ``patient.state`` holds beside patients: keys, the partition's marker, a practice's notes.

Like patients' states, both are joined when several records of one key are read, and the join is
associative, commutative and idempotent. Described in ``docs/formats.md``.
"""

from collections.abc import Callable
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
    first: dict[str, int] = {}
    """Versions of the code list that change sets were minimised with: the first receipt of each, in
    milliseconds."""
    kept: tuple[bytes, ...] = ()
    """Hashes of clusters (``CodeList.cluster_hashes``) of which nothing is missing: sent from the
    first record on, or in a full submission. Sorted."""

    def join(self, other: "Notes") -> "Notes":
        return Notes(
            FORMAT,
            max(self.data_through, other.data_through),
            max(self.position, other.position),
            _union(self.codes, other.codes, max),
            _union(self.first, other.first, min),
            self.kept
            if not other.kept or other.kept == self.kept
            else tuple(sorted({*self.kept, *other.kept})),
        )

    def complete(self, version: str) -> bool:
        """Whether nothing is missing under this version of the code list: it was the practice's
        first, or a full submission under it has ended. A practice that has sent nothing misses
        nothing."""
        if not self.first or version in self.codes:
            return True
        began = self.first.get(version)
        return began is not None and all(
            began < at for other, at in self.first.items() if other != version
        )


def _union(
    a: dict[str, int], b: dict[str, int], choose: Callable[[int, int], int]
) -> dict[str, int]:
    if not b or a == b:
        return a
    return {**a, **{name: choose(at, a.get(name, at)) for name, at in b.items()}}


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
