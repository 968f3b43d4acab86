"""One cell's contributions as columns over an order of patients, so that counting is quick.

Two forms of the same thing: a mapping is easy to read, columns are compared in microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Contributions: TypeAlias = Mapping[int, tuple[int, int]]
"""``{patient hash: (denominator, numerator)}``; a patient who is absent contributes ``(0, 0)``."""

Numbers: TypeAlias = NDArray[np.int64] | NDArray[np.uint32]
"""Half as wide where many are held. Subtract and multiply in 64 bits."""
Hashes: TypeAlias = NDArray[np.uint64]

LARGEST_HASH: Final = 2**64 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """``denominator[n]`` and ``numerator[n]`` are of the patient ``roster[n]``.

    A roster has no patient twice. Columns over one roster object are compared place by place.
    """

    roster: Hashes
    denominator: Numbers
    numerator: Numbers

    def __post_init__(self) -> None:
        if not len(self.roster) == len(self.denominator) == len(self.numerator):
            raise ValueError("the columns of a cell have one place for each patient of its roster")


Contributed: TypeAlias = Contributions | Columns


def columns(found: Contributed) -> Columns:
    """The same as columns, over the patients who are there."""
    if isinstance(found, Columns):
        return found
    count = len(found)
    pairs = np.fromiter(
        (number for pair in found.values() for number in pair), np.int64, count=2 * count
    )
    return Columns(np.fromiter(found, np.uint64, count=count), pairs[0::2], pairs[1::2])


def mapping(found: Contributed) -> Contributions:
    """The same as a mapping, without patients who contribute nothing."""
    if not isinstance(found, Columns):
        return found
    there = np.flatnonzero((found.denominator != 0) | (found.numerator != 0))
    return dict(
        zip(
            found.roster[there].tolist(),
            zip(found.denominator[there].tolist(), found.numerator[there].tolist(), strict=True),
            strict=True,
        )
    )


def aligned(one: Contributed, two: Contributed) -> tuple[Columns, Columns]:
    """Both over one roster: their own when they share it, else everybody of either."""
    before, after = columns(one), columns(two)
    if before.roster is after.roster:
        return before, after
    roster = np.union1d(before.roster, after.roster)
    return _over(roster, before), _over(roster, after)


def united(several: Iterable[Contributed]) -> Columns:
    """What several practices' patients contribute together; of one in two of them, the sum."""
    return reduce(_together, (columns(found) for found in several))


def _together(one: Columns, two: Columns) -> Columns:
    left, right = aligned(one, two)
    return Columns(
        left.roster,
        np.add(left.denominator, right.denominator, dtype=np.int64),
        np.add(left.numerator, right.numerator, dtype=np.int64),
    )


def _over(roster: Hashes, found: Columns) -> Columns:
    """``roster`` is ascending and has all of the patients."""
    places = np.searchsorted(roster, found.roster)
    denominator, numerator = np.zeros((2, len(roster)), np.int64)
    denominator[places] = found.denominator
    numerator[places] = found.numerator
    return Columns(roster, denominator, numerator)
