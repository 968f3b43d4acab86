"""Practices' figures of this year and of last, and how alike they are."""

import random
from dataclasses import dataclass
from math import exp
from typing import Final

from peerview_common.catalogue import IndicatorInfo, Kind
from peerview_share.disclosure import rounding
from peerview_share.disclosure.cell import Cell, CellState
from peerview_share.disclosure.size import Totals


@dataclass(frozen=True, slots=True)
class Spread:
    """How one indicator's figures lie among practices. Estimates, near those of England.

    The year-on-year correlations are such that an outsider who saw today's exact percentages would
    name about 7% of 60 practices, as was measured on public files a year apart (chance 1.7%).
    """

    denominator: float
    """As a share of the list."""
    centre: float
    width: float
    """Standard deviation; where ``by_log``, of the natural logarithm."""
    alike: float
    """Correlation of practices' figures with their own of a year before."""
    by_log: bool = False


SPREADS: Final = {
    "bp-htn-u80": Spread(0.105, 69, 9, 0.85),
    "dm-hba1c-58": Spread(0.056, 58, 9, 0.85),
    "af-anticoag": Spread(0.019, 90, 5, 0.80),
    "cvd-lipid-rx": Spread(0.048, 85, 5, 0.85),
    "copd-review": Spread(0.019, 72, 14, 0.75),
    "cervical": Spread(0.24, 69, 9, 0.95),
    "mmr-18m": Spread(0.011, 89, 7, 0.70),
    "nsaid-65-nogi": Spread(0.11, 1.0, 0.6, 0.80, by_log=True),
    "broad-abx": Spread(1.0, 8.0, 0.35, 0.90, by_log=True),
    "appt-14d": Spread(1.1, 82, 8, 0.80),
    "upc": Spread(0.5, 0.48, 0.12, 0.92),
    "dna": Spread(1.3, 4.0, 0.5, 0.90, by_log=True),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """One indicator of some practices: true last year, true now, and the cell released of it."""

    last_year: dict[str, float]
    now: dict[str, float]
    cells: dict[str, Cell]


def figures(info: IndicatorInfo, practices: int, rng: random.Random) -> Figures:
    """A draw of some practices."""
    spread = SPREADS[info.id]
    most = {Kind.RATE: 1000.0, Kind.MEAN: 1.0}.get(info.kind, 100.0)
    last_year, now, cells = {}, {}, {}
    for number in range(practices):
        name = f"A99{number:03}"
        before, noise = rng.gauss(0, 1), rng.gauss(0, 1)
        after = spread.alike * before + (1 - spread.alike**2) ** 0.5 * noise
        last_year[name] = min(most, _value(spread, before))
        now[name] = min(most, _value(spread, after))
        size = min(30_000, max(2_000, rng.lognormvariate(9.1, 0.5)))
        cells[name] = _cell(info, now[name], round(size * spread.denominator))
    return Figures(last_year, now, cells)


def _value(spread: Spread, place: float) -> float:
    """``place`` in standard deviations from the middle."""
    if spread.by_log:
        return spread.centre * exp(spread.width * place)
    return max(0.0, spread.centre + spread.width * place)


def _cell(info: IndicatorInfo, value: float, denominator: int) -> Cell:
    """The cell as rounding leaves it; what is small is suppressed in the releases, not here."""
    numerator = round(value * denominator * info.scale / info.per)
    found = Totals(denominator, numerator, info.scale * denominator - numerator, 0, 0, 0, 0)
    return Cell(info.id, CellState.VALUE, rounding.figure(found, info), "2026.1", 0, 1, 0)
