"""An agreement that is stricter than the defaults, on the cells that were released.

A function of released figures only: deciding anew by raw counts would give a second series of
releases, and two series can be intersected. A rounded count stands for up to 2 less or more, so a
threshold is held by the least that it may stand for.
"""

from dataclasses import replace

from peerview_common.catalogue import IndicatorInfo, Kind
from peerview_share.disclosure.cell import Cell, CellState, Released
from peerview_share.disclosure.rounding import OFF, coarser


def stricter(
    cell: Cell,
    info: IndicatorInfo,
    *,
    min_denominator: int,
    min_count: int,
    extremes_from: int,
    rounding_base: int,
) -> Cell:
    """The cell as a viewer under this agreement gets it: its figure, or `suppressed`."""
    figure = cell.figure
    if figure is None:
        return cell
    if not _enough(figure, info, min_denominator, min_count, extremes_from):
        return replace(cell, state=CellState.SUPPRESSED, figure=None)
    return coarser(cell, rounding_base, info)


def _enough(
    figure: Released, info: IndicatorInfo, min_denominator: int, min_count: int, extremes_from: int
) -> bool:
    least = figure.denominator - OFF
    if min_denominator > 20 and least < min_denominator:
        return False
    if figure.numerator is None:
        return True
    # of a rate, nothing is left over from the denominator
    rate = info.kind is Kind.RATE
    counts = [(figure.numerator, OFF)]
    if not rate:
        counts.append((figure.denominator - figure.numerator, 2 * OFF))
    if min_count > 8 and any(count and count - off < min_count for count, off in counts):
        return False
    extreme = figure.numerator == 0 or (not rate and figure.numerator == figure.denominator)
    return not (extreme and extremes_from > 50 and least < extremes_from)
