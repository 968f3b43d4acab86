"""The release of one practice's cell: gate, then size, extremes and rounding, in this order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from peerview_common.catalogue import IndicatorInfo
from peerview_share.disclosure import extremes, gate, rounding, size
from peerview_share.disclosure.cell import Cell, CellState
from peerview_share.disclosure.gate import Contributions
from peerview_share.disclosure.size import Reason


@dataclass(frozen=True, slots=True)
class Submission:
    """What a practice's snapshot says about one indicator."""

    contributions: Contributions
    version: str
    as_of: int


@dataclass(frozen=True, slots=True)
class History:
    """What was released of this cell before: all retained snapshots, and the newest cell."""

    snapshots: Sequence[Contributions] = ()
    latest: Cell | None = None


NO_HISTORY = History()


@dataclass(frozen=True, slots=True)
class Decision:
    """The cell, and what only the subject practice and the store may know of it."""

    cell: Cell
    is_release: bool
    """The snapshot was released (also when suppressed) and stays in the gate from now on."""
    reason: Reason | None = None


def release_cell(
    info: IndicatorInfo, submission: Submission, history: History, *, epoch: int, released: int
) -> Decision:
    """Decide what peers see of ``submission`` at ``epoch``, published on day ``released``."""
    if not gate.may_move(submission.contributions, history.snapshots, info.scale):
        return hold(info, history)
    found = size.totals(submission.contributions, info)
    reason = size.too_small(found, info) or extremes.too_extreme(found)
    cell = Cell(
        info.id,
        CellState.SUPPRESSED if reason else CellState.VALUE,
        None if reason else rounding.figure(found, info),
        submission.version,
        submission.as_of,
        epoch,
        released,
    )
    return Decision(cell, True, reason)


def hold(info: IndicatorInfo, history: History) -> Decision:
    """Nothing new is released: the earlier release stays, with its own date.

    The same answer whether the gate held it, no snapshot came in time or the feed was silent. An
    earlier release that was suppressed stays so, with its date.
    """
    latest = history.latest
    if latest is None:
        return Decision(Cell(info.id, CellState.NOT_SUBMITTED), False)
    if latest.figure is not None:
        latest = replace_state(latest, CellState.CARRIED_FORWARD)
    return Decision(latest, False)


def withhold(info: IndicatorInfo, state: CellState) -> Decision:
    """A cell without a figure, because of what the practice or the indicator is."""
    return Decision(Cell(info.id, state), False)


def replace_state(cell: Cell, state: CellState) -> Cell:
    return replace(cell, state=state)
