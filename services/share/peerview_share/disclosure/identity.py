"""Rule 7: what of several practices may be shown to somebody who may not know which is which.

`distribution` gives quantiles, `anonymous` the number of practices in each of four fixed bands. No
denominator, interval, date or state of a single practice is in either.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

from peerview_common.catalogue import IndicatorInfo, Kind
from peerview_share.disclosure.cell import Cell

MIN_CONTRIBUTORS: Final = 10
MIN_FOR_QUARTILES: Final = 20
MIN_FOR_DECILES: Final = 60

Figures: TypeAlias = Mapping[str, Cell]
"""``{practice: cell}`` of contributors, every one with a figure."""


class TooFewError(ValueError):
    """Fewer than 10 contributors, or one without a figure: nothing may be derived."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Whole per cent (per 1,000 of a rate); of a mean, hundredths. Ascending."""

    contributors: int
    older: int
    """How many contributors' figures are older than the epoch shown."""
    median: float
    quartiles: tuple[float, float] | None
    """The first and the third, from 20 contributors."""
    deciles: tuple[float, ...] | None
    """All nine, from 60."""


@dataclass(frozen=True, slots=True)
class Bands:
    """``peers[n]`` practices lie in band n; a band begins at its lower edge."""

    contributors: int
    older: int
    edges: tuple[float, float, float]
    peers: tuple[int, int, int, int]


def contributors(
    candidates: Iterable[str], *, viewer: str, seen_by_name: Iterable[str]
) -> frozenset[str]:
    """Without the viewer, and without those whom the viewer sees by name in any network."""
    return frozenset(candidates) - frozenset(seen_by_name) - {viewer}


def distribution(cells: Figures, info: IndicatorInfo, *, epoch: int) -> Distribution:
    """Raises TooFewError. ``epoch`` is the one that is shown."""
    values = sorted(_exact(value, info) for value in _values(cells))
    count = len(values)

    def at(share: Fraction) -> float:
        return _whole(_quantile(values, share), info)

    return Distribution(
        count,
        older(cells, epoch),
        at(Fraction(1, 2)),
        (at(Fraction(1, 4)), at(Fraction(3, 4))) if count >= MIN_FOR_QUARTILES else None,
        tuple(at(Fraction(n, 10)) for n in range(1, 10)) if count >= MIN_FOR_DECILES else None,
    )


def bands(cells: Figures, info: IndicatorInfo, *, epoch: int) -> Bands:
    """Raises TooFewError. The edges are the definition's, the same for everybody and always."""
    peers = [0, 0, 0, 0]
    for value in _values(cells):
        peers[sum(value >= edge for edge in info.bands)] += 1
    first, second, third, fourth = peers
    return Bands(len(cells), older(cells, epoch), info.bands, (first, second, third, fourth))


def older(cells: Figures, epoch: int) -> int:
    return sum(cell.epoch != epoch for cell in cells.values())


def _values(cells: Figures) -> list[float]:
    found = [cell.figure.value for cell in cells.values() if cell.figure is not None]
    if len(found) < MIN_CONTRIBUTORS or len(found) < len(cells):
        raise TooFewError(f"{len(found)} figures of {len(cells)} contributors")
    return found


def _exact(value: float, info: IndicatorInfo) -> Fraction:
    """The figure shown, without binary fractions: a rank must not hang on the last bit."""
    return Fraction(round(value * 100), 100 if info.kind is not Kind.MEAN else 1)


def _quantile(values: Sequence[Fraction], share: Fraction) -> Fraction:
    """Between the two nearest in order, in proportion (type 7 of Hyndman and Fan)."""
    place = share * (len(values) - 1)
    low = place.numerator // place.denominator
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


def _whole(value: Fraction, info: IndicatorInfo) -> float:
    """Whole per cent, halves up; a mean is given in hundredths, which are its per cent."""
    whole = (2 * value.numerator + value.denominator) // (2 * value.denominator)
    return whole / 100 if info.kind is Kind.MEAN else float(whole)
