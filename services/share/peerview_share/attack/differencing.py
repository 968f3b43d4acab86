"""Every release of a cell against every other: do they differ by a few patients?

Written without the gate's code, for it is the gate that is tried. A cell's releases become bit
patterns, one bit a patient: two releases differ in as many patients as their patterns differ in
bits, which costs microseconds where comparing patient by patient costs milliseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, TypeAlias

from peerview_share.attack.log import CellLog, Release

FEW: Final = range(1, 8)
ENOUGH: Final = 8
"""From here on a difference tells about nobody: counts are not told beyond it."""
COUNTS: Final = ("denominator", "numerator", "complement")

Counts: TypeAlias = tuple[int, int, int]
"""Patients who differ in denominator, numerator and complement, in this order."""
Planes: TypeAlias = tuple[tuple[int, ...], ...]
"""For each of the three counts: bit patterns that are equal where the patients' values are."""
NOTHING: Final = (0, 0)


@dataclass(frozen=True, slots=True)
class PairDifference:
    """How many patients two releases of one cell differ by."""

    first: Release
    second: Release
    counts: Counts

    @property
    def few(self) -> bool:
        return any(count in FEW for count in self.counts)


def differences(cell: CellLog) -> list[PairDifference]:
    """All pairs of releases whose patients are known, in the order of the releases."""
    known = [release for release in cell.releases if release.contributions is not None]
    patterns = _patterns([release.contributions or {} for release in known], cell.scale)
    return [
        PairDifference(first, second, _differing(one, other))
        for (first, one), (second, other) in combinations(zip(known, patterns, strict=True), 2)
    ]


def _differing(one: Planes, other: Planes) -> Counts:
    found = []
    for mine, theirs in zip(one, other, strict=True):
        differing = 0
        for a, b in zip(mine, theirs, strict=True):
            differing |= a ^ b
        found.append(differing.bit_count())
    return found[0], found[1], found[2]


def _patterns(contributions: Sequence[Mapping[int, tuple[int, int]]], scale: int) -> list[Planes]:
    patients = sorted(set().union(*contributions)) if contributions else []
    columns = []
    for found in contributions:
        pairs = [found.get(patient, NOTHING) for patient in patients]
        wholes = [whole for whole, _ in pairs]
        parts = [part for _, part in pairs]
        rests = [scale * whole - part for whole, part in pairs]
        columns.append((wholes, parts, rests))
    by_count = [_planes([column[n] for column in columns]) for n in range(len(COUNTS))]
    return [(by_count[0][n], by_count[1][n], by_count[2][n]) for n in range(len(contributions))]


def _planes(columns: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """One column a release, one value a patient: as few bit patterns as tell the values apart."""
    codes: dict[int, int] = {}
    coded = [[codes.setdefault(value, len(codes)) for value in column] for column in columns]
    width = max(1, (len(codes) - 1).bit_length())
    return [
        tuple(_pattern([code >> place & 1 for code in column]) for place in range(width))
        for column in coded
    ]


def _pattern(bits: Sequence[int]) -> int:
    return int(bytes(bits).translate(_DIGITS), 2) if bits else 0


_DIGITS: Final = bytes([48, 49]) + bytes(254)
"""0 and 1 as the digits of a number in base 2."""
