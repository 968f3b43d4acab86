"""Cells: what a peer may see of one practice's indicator, as types.

A view takes cells and nothing else. A cell's figure is a `Released`, which cannot be built without
the seal, and refuses counts that were not rounded: a raw count has no way into a view.
"""

from dataclasses import InitVar, dataclass
from enum import StrEnum
from typing import Final


class CellState(StrEnum):
    VALUE = "value"
    """Released at this epoch."""
    SUPPRESSED = "suppressed"
    """Released, and not shown. No reason is given."""
    CARRIED_FORWARD = "carried-forward"
    """The figure of an earlier epoch, which stays until it may move."""
    NOT_SUBMITTED = "not-submitted"
    """Nothing came from the practice in time, and nothing was released before."""
    NOT_APPLICABLE = "not-applicable"
    """The indicator does not apply to the practice yet."""
    NOT_SHARED = "not-shared"
    """The practice does not share this indicator."""


class _Seal:
    """Known to rounding (which makes figures) and to the store (which keeps them), and nobody."""


SEAL: Final = _Seal()


@dataclass(frozen=True, slots=True)
class Released:
    """A protected figure. The numerator is None where only the value is shown (a mean)."""

    numerator: int | None
    denominator: int
    value: float
    """In the indicator's unit: per cent, per 1,000, or an index."""
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not SEAL:
            raise TypeError("a released figure is made by the release pipeline alone")
        if self.denominator % 5 or (self.numerator or 0) % 5:
            raise ValueError("a released figure has rounded counts")


@dataclass(frozen=True, slots=True)
class Cell:
    """One practice's indicator at one epoch. Immutable, as an epoch is."""

    indicator: str
    state: CellState
    figure: Released | None = None
    version: str = ""
    """The definition's version that gave the figure."""
    as_of: int | None = None
    """The day that the figure is for."""
    epoch: int | None = None
    """The epoch at which it was released."""
    released: int | None = None
    """The day on which that epoch was published."""

    def __post_init__(self) -> None:
        shown = self.state in (CellState.VALUE, CellState.CARRIED_FORWARD)
        if shown != (self.figure is not None):
            raise ValueError(f"a cell that is {self.state} has {self.figure}")
        dated = shown or self.state is CellState.SUPPRESSED
        if dated and (self.as_of is None or self.epoch is None or self.released is None):
            raise ValueError(f"a cell that is {self.state} needs its dates")
