"""Snapshots as they came from the log, until their epoch is published."""

import zlib

import numpy as np
from numpy.typing import NDArray

from peerview_common.snapshots import SnapshotBody
from peerview_share.disclosure.columns import Columns, Hashes


def zipped(body: bytes) -> bytes:
    return zlib.compress(body, 1)


def unzip(stored: bytes) -> bytes:
    return zlib.decompress(stored)


def patients(body: SnapshotBody) -> Hashes:
    return np.frombuffer(body.patients, "<u8").astype(np.uint64, copy=False)


def columns_of(
    body: SnapshotBody, indicator: str, roster: Hashes, places: NDArray[np.intp]
) -> Columns:
    """One indicator over ``roster``; ``places[n]`` is where the body's n-th patient is in it."""
    denominator, numerator = np.zeros((2, len(roster)), np.uint32)
    cell = body.cells.get(indicator)
    if cell is not None:
        where = places[np.frombuffer(cell.index, "<u4")]
        denominator[where] = np.frombuffer(cell.denominator, "<u4")
        numerator[where] = np.frombuffer(cell.numerator, "<u4")
    return Columns(roster, denominator, numerator)
