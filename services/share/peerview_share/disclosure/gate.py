"""Rule 2, the k-change gate: may a cell move, given everything that was released of it before?

Two releases that differ by a few patients tell, by subtraction, about those few. So a cell moves
only if it differs from **every** retained earlier release by no patient or by at least `K`, and by
at least `K` in something.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from peerview_share.disclosure.columns import Contributed, Contributions, aligned, columns

__all__ = [
    "Contributions",
    "Difference",
    "K",
    "Obstacle",
    "compare",
    "difference",
    "may_move",
    "obstacle",
]

K: Final = 8


@dataclass(frozen=True, slots=True)
class Difference:
    """How many *patients* differ between two snapshots, in each of the three counts."""

    denominator: int
    numerator: int
    complement: int

    @property
    def counts(self) -> tuple[int, int, int]:
        return self.denominator, self.numerator, self.complement

    @property
    def safe(self) -> bool:
        """No count is 1 to 7."""
        return all(count == 0 or count >= K for count in self.counts)

    @property
    def least(self) -> int:
        """The least count that is not 0; 0 when all are."""
        return min((count for count in self.counts if count), default=0)

    @property
    def moves(self) -> bool:
        return self.safe and max(self.counts) >= K


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a cell may not move, for the subject practice alone."""

    place: int
    """Which of the earlier releases, in the order in which they were given."""
    difference: Difference


def difference(before: Contributed, after: Contributed, scale: int = 1) -> Difference:
    """Count the patients whose contribution differs.

    ``scale`` is what one whole of the denominator is worth in the numerator: the complement of a
    patient is ``scale x denominator - numerator``.
    """
    old, new = aligned(before, after)
    whole = np.subtract(new.denominator, old.denominator, dtype=np.int64)
    part = np.subtract(new.numerator, old.numerator, dtype=np.int64)
    return Difference(_differ(whole), _differ(part), _differ(scale * whole - part))


def _differ(change: NDArray[np.int64]) -> int:
    return int(np.count_nonzero(change != 0))


def compare(
    current: Contributed, earlier: Iterable[Contributed], scale: int = 1
) -> Obstacle | tuple[Difference, ...]:
    """The first earlier release that forbids the cell to move; it looks no further. When it may
    move, the difference from each of them.

    With nothing released before, it may.
    """
    now = columns(current)
    found = []
    for place, before in enumerate(earlier):
        found.append(difference(before, now, scale))
        if not found[-1].moves:
            return Obstacle(place, found[-1])
    return tuple(found)


def obstacle(
    current: Contributed, earlier: Iterable[Contributed], scale: int = 1
) -> Obstacle | None:
    """The first earlier release that forbids the cell to move, None when it may."""
    found = compare(current, earlier, scale)
    return found if isinstance(found, Obstacle) else None


def may_move(current: Contributed, earlier: Iterable[Contributed], scale: int = 1) -> bool:
    """True when the cell may be released anew."""
    return obstacle(current, earlier, scale) is None
