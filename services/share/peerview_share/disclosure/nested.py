"""Stricter k-change gates: one series of releases for each `minChange`, each within the one before.

A practice has one series of releases. An agreement that asks for more patients between two of them
is shown some of these releases and never others. Which, is decided once, when a cell is released,
and kept with it as one number, its *reach*: the largest `minChange` under which it is shown.

A release is shown under a step if it is shown under every smaller step, and if against every
retained earlier release shown under that step each count is 0 or at least the step. So the series
of 15 lies within that of 10: whoever sees a practice under several agreements, or adds up what
others see, is held by the least that any of them asks. Series that did not lie within each other
would be intersected. Why steps: ``docs/decisions/0023-stricter-series.md``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from peerview_share.disclosure.cell import Cell, CellState
from peerview_share.disclosure.gate import Difference, K
from peerview_share.disclosure.rounding import OFF
from peerview_share.disclosure.size import MIN_PATIENTS
from peerview_share.disclosure.steps import TOP, step


@dataclass(frozen=True, slots=True)
class Margin:
    """What stricter agreements go by, of one release. It is in no body, event, log or metric."""

    reach: int = field(repr=False)
    """One of `steps.STEPS`."""
    patients: int = field(repr=False)
    """Distinct patients with a denominator, to the nearest 5."""


@dataclass(frozen=True, slots=True)
class MarkedRelease:
    """A release of a cell, with what stricter agreements go by."""

    cell: Cell
    margin: Margin
    forgotten: bool = False
    """It is older than the gate's memory, and not what most agreements show: what is released now
    was not compared with it."""


Choice: TypeAlias = Callable[[str, str], Sequence[MarkedRelease]]
"""What stricter agreements choose from, of a practice and an indicator: releases, newest first."""


def nothing_else(practice: str, indicator: str) -> Sequence[MarkedRelease]:
    """The choice where there is none."""
    return ()


def reach(found: Sequence[Difference], reaches: Sequence[int] | None = None) -> int:
    """Of a release that passed the gate, by its differences from every retained earlier one, and
    by the reaches of those in the same order. Without these, all were shown everywhere.

    Each earlier release stops it at the step that the least of their counts makes, unless it was
    itself shown no further than that.
    """
    shown = (TOP,) * len(found) if reaches is None else reaches
    stops = (
        (step(difference.least), before) for difference, before in zip(found, shown, strict=True)
    )
    return min((stop for stop, before in stops if stop < before), default=TOP)


def shown_under(
    cell: Cell,
    releases: Callable[[], Sequence[MarkedRelease]],
    *,
    min_change: int,
    min_patients: int,
) -> Cell:
    """What an agreement shows of a cell by its `minChange` and `minPatients`.

    ``cell`` is what most agreements show at an epoch. ``releases`` are those up to that epoch,
    newest first, of each reach the newest at least. Releases from before there were margins are not
    among them, so that they are not shown: `suppressed`, as is what the gate has forgotten.
    """
    if cell.epoch is None or (min_change <= K and min_patients <= MIN_PATIENTS):
        return cell
    of_series = (
        release
        for release in releases()
        if (
            release.margin.reach >= min_change
            if min_change > K
            else release.cell.epoch == cell.epoch
        )
    )
    release = next(of_series, None)
    if release is None:
        return _suppressed(cell)
    shown = release.cell
    few = min_patients > MIN_PATIENTS and release.margin.patients - OFF < min_patients
    if few or release.forgotten:
        return _suppressed(shown)
    if shown.epoch == cell.epoch:
        return cell
    return replace(shown, state=CellState.CARRIED_FORWARD) if shown.figure is not None else shown


def _suppressed(cell: Cell) -> Cell:
    return replace(cell, state=CellState.SUPPRESSED, figure=None)
