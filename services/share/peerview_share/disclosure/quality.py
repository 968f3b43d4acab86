"""Rule 10: quality before release: a feed that fell silent, and a figure that jumps."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from peerview_common.catalogue import IndicatorInfo, Kind
from peerview_share.disclosure.cell import Released

MAX_SILENCE_MS: Final = round(timedelta(days=7).total_seconds() * 1000)
JUMP_POINTS: Final = 20
JUMP_DENOMINATOR: Final = 0.2
MIN_GPS: Final = 3
"""Usual provider of care with fewer GPs would be one person's figure."""
PERSONAL: Final = frozenset({"upc"})


def silent(data_through: int, cut_at: int) -> bool:
    """The feed said nothing for over 7 days before the cut; both in milliseconds UTC."""
    return cut_at - data_through > MAX_SILENCE_MS


def personal(indicator: str, gps: int) -> bool:
    return indicator in PERSONAL and gps < MIN_GPS


def jumps(new: Released | None, known: Iterable[Released], info: IndicatorInfo) -> bool:
    """Has the figure moved by over 20 points, or its denominator by over 20%?

    ``known`` is the figure released last, and those that the practice has confirmed since. From one
    of them it must not have jumped; with none there is nothing to jump from. A point is a per cent,
    of a rate one in 1,000, of a mean a hundredth.
    """
    figures = list(known)
    return new is not None and bool(figures) and all(_far(new, old, info) for old in figures)


def _far(new: Released, old: Released, info: IndicatorInfo) -> bool:
    points = abs(new.value - old.value) * (100 if info.kind is Kind.MEAN else 1)
    # figures have a decimal or two: a point more or less must not hang on a binary fraction
    if round(points, 6) > JUMP_POINTS:
        return True
    return abs(new.denominator - old.denominator) > JUMP_DENOMINATOR * old.denominator
