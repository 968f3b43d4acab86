"""Three ways to release: the product's, and two that leak, for the attacker to find."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from peerview_common.catalogue import IndicatorInfo, catalogue
from peerview_share.attack.log import CellLog, Release
from peerview_share.disclosure import extremes, size
from peerview_share.disclosure.cell import Cell
from peerview_share.disclosure.columns import Columns
from peerview_share.disclosure.release import Decision, History, Submission, release_cell

DAYS_A_MONTH = 30


@dataclass(slots=True)
class Series:
    """One cell through the epochs: what the pipeline remembers, and what peers saw."""

    practice: str
    info: IndicatorInfo
    kept: list[Columns] = field(default_factory=list)
    """Snapshots that the gate compares with."""
    latest: Cell | None = None
    seen: list[Release] = field(default_factory=list)
    fresh: list[bool] = field(default_factory=list)
    """For each epoch: did the cell move?"""

    def log(self) -> CellLog:
        return CellLog(self.practice, self.info.id, self.seen, self.info.scale)

    def take(self, decision: Decision, state: Columns, epoch: int, day: int) -> None:
        self.fresh.append(decision.is_release)
        self.latest = decision.cell
        if decision.is_release:
            self.kept.append(state)
            self.saw(state, epoch, day, shown=decision.reason is None)

    def saw(self, state: Columns, epoch: int, day: int, *, shown: bool) -> None:
        self.seen.append(Release(epoch, day, state, shown))


Variant: TypeAlias = Callable[[Series, Columns, int, int], None]
"""Release a state at an epoch of a day."""


def product(series: Series, state: Columns, epoch: int, day: int) -> None:
    _release(series, state, epoch, day, tuple(series.kept))


def last_only(series: Series, state: Columns, epoch: int, day: int) -> None:
    """The gate looks at the last release alone."""
    _release(series, state, epoch, day, tuple(series.kept[-1:]))


def suppressed_first(series: Series, state: Columns, epoch: int, day: int) -> None:
    """Size is looked at before the gate, and what is suppressed counts as nothing released."""
    found = size.totals(state, series.info)
    if size.too_small(found, series.info) or extremes.too_extreme(found):
        series.fresh.append(False)
        if not series.seen or series.seen[-1].shown:
            series.saw(state, epoch, day, shown=False)
        return
    was_hidden = bool(series.seen) and not series.seen[-1].shown
    before = len(series.seen)
    _release(series, state, epoch, day, tuple(series.kept))
    if was_hidden and len(series.seen) == before and series.kept:
        # held, so the earlier figure comes back to sight: that much has changed again
        series.saw(state, epoch, day, shown=True)


def _release(
    series: Series, state: Columns, epoch: int, day: int, kept: tuple[Columns, ...]
) -> None:
    decision = release_cell(
        series.info,
        Submission(state, "2026.1", day),
        History(kept, series.latest),
        epoch=epoch,
        released=day,
    )
    series.take(decision, state, epoch, day)


def series_of(practice: str, indicators: tuple[str, ...]) -> dict[str, Series]:
    return {name: Series(practice, catalogue()[name]) for name in indicators}
