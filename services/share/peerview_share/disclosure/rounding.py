"""Rule 5: what is shown is derived from counts rounded to the nearest 5.

The one place that makes a `Released` from counts, or a coarser one from a `Released`.
"""

from dataclasses import replace
from typing import Final

from peerview_common.catalogue import IndicatorInfo, Kind
from peerview_share.disclosure import extremes
from peerview_share.disclosure.cell import SEAL, Cell, CellState, Released
from peerview_share.disclosure.size import Totals

BASE: Final = 5
OFF: Final = BASE // 2
"""How far a rounded count may lie from the one that it stands for."""


def nearest(count: int, base: int = BASE) -> int:
    """The nearest multiple, halves up: 12 is 10, 13 is 15."""
    return (2 * count + base) // (2 * base) * base


def quotient(numerator: int, denominator: int, decimals: int) -> float:
    """``numerator / denominator``, halves up, by whole numbers alone."""
    tens: int = 10**decimals
    return int((2 * numerator * tens + denominator) // (2 * denominator)) / tens


def figure(found: Totals, info: IndicatorInfo) -> Released:
    """The figure shown. A mean has no numerator to show: its mean goes to 2 decimals instead."""
    denominator = nearest(found.denominator)
    if info.kind is Kind.MEAN:
        mean = quotient(found.numerator, found.denominator * info.scale, 2)
        return Released(None, denominator, mean, SEAL)
    numerator = nearest(found.numerator)
    return Released(numerator, denominator, quotient(info.per * numerator, denominator, 1), SEAL)


def coarser(cell: Cell, base: int, info: IndicatorInfo) -> Cell:
    """The cell as a stricter agreement shows it: to a multiple of 5, on the rounded cell.

    Rounding the raw counts to a second base would let the two answers be intersected. What becomes
    0% or 100% of a small denominator by it is suppressed, as rule 4 has it; so is a denominator of
    less than half the base, of which nothing is left.
    """
    if base % BASE or base <= 0:
        raise ValueError(f"an agreement rounds to a multiple of {BASE}, not to {base}")
    figure = cell.figure
    if figure is None or base == BASE:
        return cell
    denominator = nearest(figure.denominator, base)
    numerator = None if figure.numerator is None else nearest(figure.numerator, base)
    extreme = numerator in (0, denominator) and denominator < extremes.MIN_DENOMINATOR
    if denominator == 0 or extreme:
        return replace(cell, state=CellState.SUPPRESSED, figure=None)
    if numerator is None:
        return replace(cell, figure=Released(None, denominator, figure.value, SEAL))
    value = quotient(info.per * numerator, denominator, 1)
    return replace(cell, figure=Released(numerator, denominator, value, SEAL))
