"""Rule 5: what is shown is derived from counts rounded to the nearest 5.

The one place that makes a `Released` from counts.
"""

from typing import Final

from peerview_common.catalogue import IndicatorInfo, Kind
from peerview_share.disclosure.cell import SEAL, Released
from peerview_share.disclosure.size import Totals

BASE: Final = 5


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
