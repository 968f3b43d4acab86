"""Every release of a cell against every other: do they differ by a few patients?

Written without the gate's code, for it is the gate that is tried. A cell's releases become one
table for each count, a row a release and a column a patient; a row against all later rows at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from peerview_share.attack.log import CellLog, Release
from peerview_share.disclosure.columns import Contributed, columns

FEW: Final = range(1, 8)
ENOUGH: Final = 8
"""From here on a difference tells about nobody: counts are not told beyond it."""
COUNTS: Final = ("denominator", "numerator", "complement")

Counts: TypeAlias = tuple[int, int, int]
"""Patients who differ in denominator, numerator and complement, in this order."""
Table: TypeAlias = NDArray[np.int64]
"""A row a release, a column a patient."""


@dataclass(frozen=True, slots=True)
class PairDifference:
    """How many patients two releases of one cell differ by."""

    first: Release
    second: Release
    counts: Counts

    @property
    def few(self) -> bool:
        return any(count in FEW for count in self.counts)

    @property
    def asked(self) -> int:
        """The largest `minChange` of an agreement that shows both."""
        return min(self.first.reach, self.second.reach)

    @property
    def fewer(self) -> bool:
        """Than a stricter agreement that shows both asks for, though no few."""
        return not self.few and any(0 < count < self.asked for count in self.counts)


def differences(cell: CellLog) -> list[PairDifference]:
    """All pairs of releases whose patients are known, in the order of the releases."""
    known = [release for release in cell.releases if release.contributions is not None]
    whole, part = tables([release.contributions or {} for release in known])
    three = (whole, part, cell.scale * whole - part)
    counts = zip(*(_differing(table) for table in three), strict=True)
    pairs = combinations(known, 2)
    return [
        PairDifference(first, second, (d, n, c))
        for (first, second), (d, n, c) in zip(pairs, counts, strict=True)
    ]


def inherited(cell: CellLog) -> Iterator[PairDifference]:
    """All releases of a successor against all that can be added up of its predecessors'."""
    known = [release for release in cell.releases if release.contributions is not None]
    for before in cell.inherited:
        if known and before.contributions is not None:
            first = CellLog(cell.practice, cell.indicator, [before, *known], cell.scale)
            yield from differences(first)[: len(known)]


def tables(found: Sequence[Contributed]) -> tuple[Table, Table]:
    """Everybody's denominators and numerators; who is absent contributes nothing."""
    each = [columns(one) for one in found]
    if each and all(one.roster is each[0].roster for one in each):
        whole = np.stack([one.denominator for one in each]).astype(np.int64, copy=False)
        part = np.stack([one.numerator for one in each]).astype(np.int64, copy=False)
        there = (whole != 0).any(axis=0) | (part != 0).any(axis=0)
        return whole[:, there], part[:, there]
    everybody = np.unique(np.concatenate([one.roster for one in each] or [np.zeros(0, np.uint64)]))
    whole, part = np.zeros((2, len(each), len(everybody)), np.int64)
    for row, one in enumerate(each):
        places = np.searchsorted(everybody, one.roster)
        whole[row, places], part[row, places] = one.denominator, one.numerator
    return whole, part


def _differing(table: Table) -> Iterator[int]:
    """Of every pair of rows, in the order of `combinations`, in how many places they differ."""
    for row in range(len(table) - 1):
        yield from np.count_nonzero(table[row + 1 :] != table[row], axis=1).tolist()
