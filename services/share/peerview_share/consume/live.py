"""The newest figure of every practice and indicator, in memory for reads."""

from collections.abc import Iterable, Mapping

from peerview_common.values import IndicatorValue


class LiveFigures:
    """Written by one thread, read by many; each figure is replaced whole."""

    def __init__(self, values: Iterable[IndicatorValue] = ()) -> None:
        self._practices: dict[str, dict[str, IndicatorValue]] = {}
        for value in values:
            self.put(value)

    def put(self, value: IndicatorValue) -> None:
        self._practices.setdefault(value.practice, {})[value.indicator] = value

    def of(self, practice: str) -> Mapping[str, IndicatorValue]:
        return dict(self._practices.get(practice, {}))

    def practices(self) -> frozenset[str]:
        return frozenset(self._practices)
