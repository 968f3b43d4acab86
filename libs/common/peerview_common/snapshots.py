"""``indicator.snapshots``: what every patient contributes to every indicator at one release cut.

A snapshot is one *body* (MessagePack) cut into chunks. It is used only when all chunks of one
attempt are there and the hash of the joined body is right. Patients are keyed 64-bit hashes of
their origin key, so that two snapshots of a practice can be compared patient by patient, and
nothing else can be learned from them. Described for other languages in ``docs/formats.md``.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from sys import byteorder
from typing import Final

import msgspec

FORMAT: Final = 1
CHUNK_BYTES: Final = 800_000


class Cell(msgspec.Struct, frozen=True):
    """One indicator's contributions: three parallel columns of little-endian unsigned 32-bit."""

    version: str
    index: bytes
    """Positions in ``patients`` of those who contribute, ascending: denominator above 0."""
    denominator: bytes
    numerator: bytes


class SnapshotBody(msgspec.Struct, frozen=True):
    patients: bytes
    """The 64-bit hashes, little-endian, ascending."""
    cells: dict[str, Cell]
    """By indicator id."""
    states: dict[str, str]
    """By indicator id, for those not ``current`` (``awaiting-backfill``, ``rekeying``)."""
    gps: int
    """Distinct GPs seen in contacts of the last 12 months."""


class SnapshotChunk(msgspec.Struct, frozen=True):
    """One record. ``chunk`` runs from 1 to ``chunks``."""

    format: int
    practice: str
    cut: int
    cut_id: str
    attempt: str
    chunk: int
    chunks: int
    content_hash: bytes
    """SHA-256 of the whole body."""
    as_of: int
    data_through: int
    definitions: str
    part: bytes


class BrokenSnapshot(ValueError):
    """Chunks that do not make up the snapshot that they say they are."""


def origin_hash(key: bytes, origin: bytes) -> int:
    """The keyed 64-bit hash (BLAKE2b) of a patient's origin key."""
    return int.from_bytes(hashlib.blake2b(origin, digest_size=8, key=key).digest(), "little")


def _little(values: array[int]) -> bytes:
    if byteorder == "big":  # pragma: no cover
        values.byteswap()
    return values.tobytes()


def _column(data: bytes, kind: str) -> array[int]:
    column: array[int] = array(kind)
    column.frombytes(data)
    if byteorder == "big":  # pragma: no cover
        column.byteswap()
    return column


def build_body(
    contributions: Mapping[str, tuple[str, Mapping[int, tuple[int, int]]]],
    *,
    gps: int,
    states: Mapping[str, str] | None = None,
) -> bytes:
    """The body for ``{indicator: (version, {patient hash: (denominator, numerator)})}``.

    Only contributions with a denominator above 0 belong in it.
    """
    patients = sorted({patient for _, found in contributions.values() for patient in found})
    place = {patient: n for n, patient in enumerate(patients)}
    cells = {}
    for indicator, (version, found) in sorted(contributions.items()):
        rows = sorted((place[patient], pair) for patient, pair in found.items())
        cells[indicator] = Cell(
            version,
            _little(array("I", (n for n, _ in rows))),
            _little(array("I", (pair[0] for _, pair in rows))),
            _little(array("I", (pair[1] for _, pair in rows))),
        )
    body = SnapshotBody(_little(array("Q", patients)), cells, dict(states or {}), gps)
    return msgspec.msgpack.encode(body)


def split_body(
    body: bytes,
    *,
    practice: str,
    cut: int,
    cut_id: str,
    attempt: str,
    as_of: int,
    data_through: int,
    definitions: str,
    chunk_bytes: int = CHUNK_BYTES,
) -> list[SnapshotChunk]:
    parts = [body[n : n + chunk_bytes] for n in range(0, len(body), chunk_bytes)] or [b""]
    digest = hashlib.sha256(body).digest()
    return [
        SnapshotChunk(
            FORMAT, practice, cut, cut_id, attempt, n, len(parts), digest,
            as_of, data_through, definitions, part,
        )
        for n, part in enumerate(parts, 1)
    ]  # fmt: skip


def join_chunks(chunks: Iterable[SnapshotChunk]) -> bytes | None:
    """The body, once every chunk of one attempt is there; None while one is missing.

    Raises BrokenSnapshot when the hash is wrong.
    """
    by_place = {chunk.chunk: chunk for chunk in chunks}
    if not by_place:
        return None
    first = next(iter(by_place.values()))
    if set(by_place) != set(range(1, first.chunks + 1)):
        return None
    body = b"".join(by_place[n].part for n in range(1, first.chunks + 1))
    if hashlib.sha256(body).digest() != first.content_hash:
        raise BrokenSnapshot(
            f"snapshot of {first.practice} for cut {first.cut}, attempt {first.attempt}: wrong hash"
        )
    return body


_body_decoder = msgspec.msgpack.Decoder(SnapshotBody)
_chunk_decoder = msgspec.msgpack.Decoder(SnapshotChunk)


def decode_chunk(data: bytes) -> SnapshotChunk:
    chunk = _chunk_decoder.decode(data)
    if chunk.format != FORMAT:
        raise BrokenSnapshot(f"snapshot of format {chunk.format}, this reader knows {FORMAT}")
    return chunk


def encode_chunk(chunk: SnapshotChunk) -> bytes:
    return msgspec.msgpack.encode(chunk)


def decode_body(body: bytes) -> SnapshotBody:
    return _body_decoder.decode(body)


def contributions(body: SnapshotBody, indicator: str) -> dict[int, tuple[int, int]]:
    """``{patient hash: (denominator, numerator)}``; empty for an indicator not in the snapshot."""
    cell = body.cells.get(indicator)
    if cell is None:
        return {}
    patients: Sequence[int] = _column(body.patients, "Q")
    rows = zip(
        _column(cell.index, "I"),
        _column(cell.denominator, "I"),
        _column(cell.numerator, "I"),
        strict=True,
    )
    return {patients[n]: (denominator, numerator) for n, denominator, numerator in rows}
