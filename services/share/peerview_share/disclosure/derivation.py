"""Rule 6, closed derivation: what is derived is a function of released cells, and of nothing else.

Totals, intervals and ranks, for those who see the cells by name. Whoever sees the cells could work
these out; that is the point.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from peerview_common.catalogue import Direction, IndicatorInfo, Kind
from peerview_share.disclosure.cell import Cell, Released
from peerview_share.disclosure.rounding import quotient

Z95: Final = 1.959964
"""The normal distribution's 97.5th percentile."""


@dataclass(frozen=True, slots=True)
class Total:
    """Several practices' released cells together."""

    numerator: int | None
    """None of a mean."""
    denominator: int
    value: float | None
    """None where no cell has a figure."""
    practices: int
    """How many cells are in it."""
    left_out: int
    """How many have no figure, whatever their state."""


@dataclass(frozen=True, slots=True)
class Interval:
    """95% limits, in the indicator's unit."""

    lower: float
    upper: float


def total(cells: Iterable[Cell], info: IndicatorInfo) -> Total:
    """Pooled: sums of the rounded counts; of a mean, weighted by the rounded denominators."""
    everything = list(cells)
    figures = [cell.figure for cell in everything if cell.figure is not None]
    left_out = len(everything) - len(figures)
    denominator = sum(figure.denominator for figure in figures)
    if not figures or denominator == 0:
        return Total(None, 0, None, len(figures), left_out)
    if info.kind is Kind.MEAN:
        hundredths = sum(round(100 * f.value) * f.denominator for f in figures)
        mean = quotient(hundredths, 100 * denominator, 2)
        return Total(None, denominator, mean, len(figures), left_out)
    numerator = sum(figure.numerator or 0 for figure in figures)
    value = quotient(info.per * numerator, denominator, 1)
    return Total(numerator, denominator, value, len(figures), left_out)


def interval(figure: Released, info: IndicatorInfo) -> Interval | None:
    """Wilson's score interval of a proportion, Byar's of a rate; a mean has none.

    As the Office for Health Improvement and Disparities uses for public health indicators.
    """
    if figure.numerator is None:
        return None
    if info.kind is Kind.RATE:
        lower, upper = _byar(figure.numerator, figure.denominator)
    else:
        lower, upper = _wilson(figure.numerator, figure.denominator)
    return Interval(round(info.per * lower, 1), round(info.per * upper, 1))


def ranked(cells: Mapping[str, Cell], info: IndicatorInfo) -> Sequence[tuple[int | None, str]]:
    """``(rank, practice)``, the better figures first; equal ones share a rank, and those without a
    figure come last without one."""
    sign = -1 if info.direction is Direction.HIGHER else 1
    values = {name: sign * cell.figure.value for name, cell in cells.items() if cell.figure}
    order = sorted(values, key=lambda name: (values[name], name))
    ranks = [(1 + sum(other < values[name] for other in values.values()), name) for name in order]
    return [*ranks, *((None, name) for name in sorted(cells.keys() - values.keys()))]


def _wilson(numerator: int, denominator: int) -> tuple[float, float]:
    share = numerator / denominator
    square = Z95**2 / denominator
    middle = share + square / 2
    reach = Z95 * math.sqrt(share * (1 - share) / denominator + square / (4 * denominator))
    return max(0.0, (middle - reach) / (1 + square)), min(1.0, (middle + reach) / (1 + square))


def _byar(numerator: int, denominator: int) -> tuple[float, float]:
    def limit(count: int, sign: int) -> float:
        if count == 0:
            return 0.0
        inner = 1 - 1 / (9 * count) + sign * Z95 / (3 * math.sqrt(count))
        return float(count * inner**3)

    return limit(numerator, -1) / denominator, limit(numerator + 1, 1) / denominator
