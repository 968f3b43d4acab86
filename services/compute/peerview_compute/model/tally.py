"""A practice's tally: the sum of what its patients contribute."""

from collections.abc import Iterable

import msgspec

from peerview_compute.model.state import Cell
from peerview_compute.model.status import Contributions, Status

_OUT, _MET, _MISS, _EXCEPTION = (
    int(status) for status in (Status.OUT, Status.MET, Status.MISS, Status.EXCEPTION)
)


class Counts(msgspec.Struct):
    """One indicator's sums. All but the first two count patients."""

    denominator: int = 0
    numerator: int = 0
    met: int = 0
    miss: int = 0
    exception: int = 0
    excluded: int = 0

    def move(self, status: int, denominator: int, numerator: int, sign: int) -> None:
        """Count a patient's contribution once more (1) or once less (-1)."""
        if status == _OUT:
            return
        self.denominator += sign * denominator
        self.numerator += sign * numerator
        if status == _MET:
            self.met += sign
        elif status == _MISS:
            self.miss += sign
        elif status == _EXCEPTION:
            self.exception += sign
        else:
            self.excluded += sign


class Tally:
    """Sums for each indicator, in the order of ``DefinitionSet.indicators``.

    It is always the sum over the stored states of the contributions in their caches (see ``Core``),
    so it is moved by ``replace(applied.before, applied.after)`` and can be rebuilt from nothing.
    """

    __slots__ = ("counts",)

    def __init__(self, indicators: int) -> None:
        self.counts: list[Counts] = [Counts() for _ in range(indicators)]

    def add(self, contributions: Contributions, sign: int = 1) -> None:
        """Count a patient once more (1) or once less (-1)."""
        for counts, contribution in zip(self.counts, contributions, strict=True):
            if contribution[0] != _OUT:
                counts.move(*contribution, sign)

    def count(self, cells: Iterable[Cell], sign: int = 1) -> None:
        """The same, out of a cache: indicators without a cell are not looked at."""
        counts = self.counts
        for cell in cells:
            status = cell.status
            if status != _OUT:
                counts[cell.indicator].move(status, cell.denominator, cell.numerator, sign)

    def replace(self, before: Contributions, after: Contributions) -> bool:
        """Take ``before`` out and put ``after`` in; whether that changed anything."""
        if before == after:
            return False
        for counts, old, new in zip(self.counts, before, after, strict=True):
            if old != new:
                counts.move(*old, -1)
                counts.move(*new, 1)
        return True

    def __getitem__(self, indicator: int) -> Counts:
        return self.counts[indicator]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tally) and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment]

    @property
    def is_zero(self) -> bool:
        return all(counts == Counts() for counts in self.counts)
