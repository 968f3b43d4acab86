"""How released snapshots are kept: patients once a practice, cells as columns over them.

A patient hash is 8 random bytes, which nothing compresses; so a practice's hashes stand in a
*roster* that only grows, and a snapshot names patients by their place in it. Why, and how large
that is: ``docs/decisions/0020-kept-snapshots.md``.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray

from peerview_share.disclosure.columns import Columns, Hashes, Numbers

FORMAT: Final = 1
LEVEL: Final = 9
_BITS: Final = 2
"""So many distinct values fit in a bit."""
_NONE_OR_ONE: Final = np.array([0, 1], "<u4").tobytes()


class Column(msgspec.Struct, array_like=True, frozen=True):
    """Numbers as places in a list of the distinct ones: bits, bytes, or 2 or 4 bytes each."""

    distinct: bytes
    """Ascending, little-endian unsigned 32-bit."""
    places: bytes
    """Empty where all are equal."""


class KeptCell(msgspec.Struct, array_like=True, frozen=True):
    version: str
    length: int
    """How much of the roster the columns cover; nobody after it contributes."""
    denominator: Column
    numerator: Column
    """Of those whose denominator is above 0, in the roster's order."""


class KeptBody(msgspec.Struct, array_like=True, frozen=True):
    format: int
    gps: int
    cells: dict[str, KeptCell]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(KeptBody)


def pack_roster(ascending: Hashes) -> bytes:
    """Differences of ascending hashes, byte by byte: their high bytes are mostly nothing."""
    steps = np.diff(ascending, prepend=np.uint64(0)).astype("<u8")
    planes = steps.view(np.uint8).reshape(-1, 8).T
    return zstandard.compress(planes.tobytes(), LEVEL)


def unpack_roster(data: bytes) -> Hashes:
    planes = np.frombuffer(zstandard.decompress(data), np.uint8).reshape(8, -1)
    steps = np.ascontiguousarray(planes.T).view("<u8").reshape(-1)
    return np.cumsum(steps, dtype=np.uint64)


def pack(cells: Mapping[str, tuple[str, Columns]], gps: int) -> bytes:
    """``{indicator: (version, columns over the practice's roster)}``."""
    kept = {name: _kept(version, found) for name, (version, found) in sorted(cells.items())}
    return zstandard.compress(_encoder.encode(KeptBody(FORMAT, gps, kept)), LEVEL)


def unpack(data: bytes) -> KeptBody:
    """Raises ValueError for a form that this reader does not know."""
    body = _decoder.decode(zstandard.decompress(data))
    if body.format != FORMAT:
        raise ValueError(f"a kept snapshot of format {body.format}; this reader knows {FORMAT}")
    return body


def columns(cell: KeptCell, roster: Hashes) -> Columns:
    """The cell over ``roster``, which may have grown since: who came later contributes nothing."""
    denominator, numerator = np.zeros((2, len(roster)), np.uint32)
    whole = _numbers(cell.denominator, cell.length)
    denominator[: cell.length] = whole
    # places of bits are found ten times as fast as those of numbers
    there = np.flatnonzero(whole.view(np.bool_) if whole.dtype == np.uint8 else whole != 0)
    numerator[there] = _numbers(cell.numerator, len(there))
    return Columns(roster, denominator, numerator)


def _kept(version: str, found: Columns) -> KeptCell:
    there = np.flatnonzero(found.denominator)
    if np.any(found.numerator[found.denominator == 0]):
        raise ValueError("a patient without a denominator has no numerator")
    length = int(there[-1]) + 1 if len(there) else 0
    return KeptCell(
        version, length, _column(found.denominator[:length]), _column(found.numerator[there])
    )


def _column(numbers: Numbers) -> Column:
    distinct, places = np.unique(numbers, return_inverse=True)
    count = len(distinct)
    if count < _BITS:
        packed = b""
    elif count == _BITS:
        packed = np.packbits(places.astype(np.uint8)).tobytes()
    else:
        packed = places.astype(_width(count)).tobytes()
    return Column(distinct.astype("<u4").tobytes(), packed)


def _numbers(column: Column, count: int) -> NDArray[np.uint8] | NDArray[np.uint32]:
    """Of 0 and 1 alone, bytes."""
    distinct = np.frombuffer(column.distinct, "<u4")
    if len(distinct) < _BITS:
        return np.full(count, distinct[0] if len(distinct) else 0, np.uint32)
    if len(distinct) == _BITS:
        bits = np.unpackbits(np.frombuffer(column.places, np.uint8), count=count)
        if column.distinct == _NONE_OR_ONE:
            return bits
        found: NDArray[np.uint32] = distinct[bits]
        return found
    return distinct.take(np.frombuffer(column.places, _width(len(distinct))))


def _width(count: int) -> str:
    return "u1" if count <= 2**8 else "<u2" if count <= 2**16 else "<u4"
