"""What ``patient.state`` holds beside patients: keys, the partition's marker, a practice's notes.

Like patients' states, both are joined when several records of one key are read, and the join is
associative, commutative and idempotent. Described in ``docs/formats.md``.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Final

import msgspec

from peerview_common.changes import PracticeRekeying

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
    kept: dict[str, int] = {}
    """Hashes of clusters (``CodeList.cluster_hashes``) of which nothing was missing at some time:
    sent from the first record on, or in a full submission. Since when, in milliseconds."""
    lost: dict[str, int] = {}
    """Those of them that the list in use no longer had, and the last change set under it."""
    rekeying: int = 0
    """The greatest version of the practice's keys that a re-keying to has begun."""
    rekeyed: int = 0
    """The greatest one that a re-keying to has ended."""

    @property
    def held(self) -> bool:
        """Whether patients may stand under two keys at once: no figure is to be used."""
        return self.rekeying > self.rekeyed

    def after_rekeying(self, event: PracticeRekeying) -> "Notes":
        known = Notes(rekeyed=event.version) if event.ended else Notes(rekeying=event.version)
        return self.join(known)

    def join(self, other: "Notes") -> "Notes":
        return Notes(
            FORMAT,
            max(self.data_through, other.data_through),
            max(self.position, other.position),
            _union(self.codes, other.codes, max),
            _union(self.first, other.first, min),
            _union(self.kept, other.kept, max),
            _union(self.lost, other.lost, max),
            max(self.rekeying, other.rekeying),
            max(self.rekeyed, other.rekeyed),
        )

    def whole_since(self, version: str) -> int | None:
        """When nothing was missing under this version of the code list: a full submission under it
        ended, or it was the practice's first. None for never."""
        if version in self.codes:
            return self.codes[version]
        began = self.first.get(version)
        if began is None or any(
            at <= began for other, at in self.first.items() if other != version
        ):
            return None
        return began

    def seen_under(self, version: str, hashes: Collection[str], received: int | None) -> "Notes":
        """What follows for clusters, once this much is known, under the list in use; ``received``
        is a change set's under that list. To be joined."""
        since = self.whole_since(version)
        kept = {} if since is None else {one: since for one in hashes if self._since(one) < since}
        lost = {}
        if received is not None:
            lost = {one: received for one in self.kept if one not in hashes}
        return Notes(kept=kept, lost=lost)

    def holds(self, version: str, hashes: Iterable[str]) -> bool:
        """Whether nothing is missing of these clusters, which the list ``version`` has. A practice
        that has sent nothing misses nothing."""
        if not self.first:
            return True
        since = self.whole_since(version)
        if since is not None and not self.lost:
            return True
        least = -1 if since is None else since
        return all(max(self._since(one), least) > self.lost.get(one, -1) for one in hashes)

    def _since(self, one: str) -> int:
        return self.kept.get(one, -1)


def _union(
    a: dict[str, int], b: dict[str, int], choose: Callable[[int, int], int]
) -> dict[str, int]:
    # the same object where nothing is new: who looks whether anything is need not compare
    if all(name in a and choose(at, a[name]) == a[name] for name, at in b.items()):
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
