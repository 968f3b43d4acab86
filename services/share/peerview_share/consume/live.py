"""The newest figure of every practice and indicator, in memory for reads."""

from collections.abc import Iterable, Mapping

from peerview_common.values import IndicatorValue


class LiveFigures:
    """Written by one thread, read by many; each figure is replaced whole."""

    def __init__(self, values: Iterable[IndicatorValue] = ()) -> None:
        self._practices: dict[str, dict[str, IndicatorValue]] = {}
        for value in values:
            self.put(value)

    def put(self, value: IndicatorValue) -> bool:
        """Take a figure over; False for one that a late writer published after a newer one."""
        figures = self._practices.setdefault(value.practice, {})
        held = figures.get(value.indicator)
        if held is not None and _older(value, held):
            return False
        figures[value.indicator] = value
        return True

    def of(self, practice: str) -> Mapping[str, IndicatorValue]:
        return dict(self._practices.get(practice, {}))

    def practices(self) -> frozenset[str]:
        return frozenset(self._practices)


def _older(value: IndicatorValue, held: IndicatorValue) -> bool:
    """Behind in the log, and ahead in nothing. (A log that was made anew counts from 0, but its
    feeds are later.)"""
    return (
        value.source.partition == held.source.partition
        and value.source.offset < held.source.offset
        and value.as_of <= held.as_of
        and value.data_through <= held.data_through
    )
