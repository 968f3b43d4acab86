"""The release of one practice's cell: gate, then size, extremes and rounding, in this order."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from peerview_common.catalogue import IndicatorInfo
from peerview_share.disclosure import extremes, gate, nested, quality, rounding, size
from peerview_share.disclosure.cell import Cell, CellState, Released
from peerview_share.disclosure.columns import Contributed
from peerview_share.disclosure.gate import Obstacle
from peerview_share.disclosure.nested import Margin
from peerview_share.disclosure.size import Reason, Totals


@dataclass(frozen=True, slots=True)
class Submission:
    """What a practice's snapshot says about one indicator."""

    contributions: Contributed
    version: str
    as_of: int


@dataclass(frozen=True, slots=True)
class History:
    """What was released of this cell before: all retained snapshots, and the newest cell.

    The snapshots are read in turn, and only as far as is needed: give the likeliest obstacle first.
    """

    snapshots: Iterable[Contributed] = ()
    latest: Cell | None = None
    confirmed: tuple[Released, ...] = ()
    """Figures since the newest release that jumped, and that the practice confirmed."""
    reaches: tuple[int, ...] | None = None
    """How far each of the snapshots is shown by stricter agreements; None: all of them to all."""


NO_HISTORY = History()


class Cause(StrEnum):
    """Why a cell is as it is, for the subject practice alone."""

    RELEASED = "released"
    UNCHANGED = "unchanged"
    """No patient differs from an earlier release."""
    SMALL_CHANGE = "small-change"
    """1 to 7 patients differ from an earlier release in some count, or fewer than 8 in all."""
    NO_SNAPSHOT = "no-snapshot"
    SILENT_FEED = "silent-feed"
    REKEYING = "rekeying"
    NOT_COMPUTED = "not-computed"
    AWAITING_BACKFILL = "awaiting-backfill"
    FEW_GPS = "few-gps"
    JUMP = "jump"
    """The figure jumped, and the practice has not confirmed it."""
    HELD = "held"
    """The practice holds it."""


@dataclass(frozen=True, slots=True)
class Account:
    """What only the subject practice may know of a decision. No part of it reaches a view."""

    cause: Cause
    totals: Totals | None = None
    reason: Reason | None = None
    obstacle: Obstacle | None = None
    jumped: bool = False


NO_ACCOUNT: Final = Account(Cause.NO_SNAPSHOT)


@dataclass(frozen=True, slots=True)
class Decision:
    """The cell, and what only the subject practice and the store may know of it.

    Two are equal when peers and the gate cannot tell them apart.
    """

    cell: Cell
    is_release: bool
    """The snapshot was released (also when suppressed) and stays in the gate from now on."""
    reason: Reason | None = None
    account: Account = field(default=NO_ACCOUNT, compare=False)
    margin: Margin | None = None
    """Of a release: what stricter agreements go by."""


def release_cell(
    info: IndicatorInfo, submission: Submission, history: History, *, epoch: int, released: int
) -> Decision:
    """Decide what peers see of ``submission`` at ``epoch``, published on day ``released``."""
    found = size.totals(submission.contributions, info)
    compared = gate.compare(submission.contributions, history.snapshots, info.scale)
    if isinstance(compared, Obstacle):
        unchanged = not any(compared.difference.counts)
        cause = Cause.UNCHANGED if unchanged else Cause.SMALL_CHANGE
        return hold(info, history, Account(cause, found, obstacle=compared))
    reason = size.too_small(found, info) or extremes.too_extreme(found)
    figure = None if reason else rounding.figure(found, info)
    cell = Cell(
        info.id,
        CellState.SUPPRESSED if reason else CellState.VALUE,
        figure,
        submission.version,
        submission.as_of,
        epoch,
        released,
    )
    jumped = quality.jumps(figure, _known(history), info)
    account = Account(Cause.RELEASED, found, reason, jumped=jumped)
    margin = Margin(nested.reach(compared, history.reaches), rounding.nearest(found.patients))
    return Decision(cell, True, reason, account, margin)


def hold(info: IndicatorInfo, history: History, account: Account = NO_ACCOUNT) -> Decision:
    """Nothing new is released: the earlier release stays, with its own date.

    The same answer whether the gate held it, no snapshot came in time, the feed was silent or the
    practice holds it. An earlier release that was suppressed stays so, with its date.
    """
    latest = history.latest
    if latest is None:
        return Decision(Cell(info.id, CellState.NOT_SUBMITTED), False, account=account)
    if latest.figure is not None:
        latest = replace(latest, state=CellState.CARRIED_FORWARD)
    return Decision(latest, False, account=account)


def withhold(info: IndicatorInfo, state: CellState, account: Account = NO_ACCOUNT) -> Decision:
    """A cell without a figure, because of what the practice or the indicator is."""
    return Decision(Cell(info.id, state), False, account=account)


def retracted(cell: Cell) -> Cell:
    """A wrong release after its retraction: it was released, and is not shown any more.

    Its snapshot stays in the gate, for peers have seen it.
    """
    return replace(cell, state=CellState.SUPPRESSED, figure=None)


def _known(history: History) -> list[Released]:
    figure = history.latest.figure if history.latest else None
    return [*history.confirmed, *([figure] if figure else [])]
