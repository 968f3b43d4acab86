"""Rule 2, the k-change gate: may a cell move, given everything that was released of it before?

Two releases that differ by a few patients tell, by subtraction, about those few. So a cell moves
only if it differs from **every** retained earlier release by no patient or by at least `K`, and by
at least `K` in something.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

Contributions: TypeAlias = Mapping[int, tuple[int, int]]
"""``{patient hash: (denominator, numerator)}``; a patient who is absent contributes ``(0, 0)``."""

K: Final = 8
NOTHING: Final = (0, 0)


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
    def moves(self) -> bool:
        return self.safe and max(self.counts) >= K


def difference(before: Contributions, after: Contributions, scale: int = 1) -> Difference:
    """Count the patients whose contribution differs.

    ``scale`` is what one whole of the denominator is worth in the numerator: the complement of a
    patient is ``scale x denominator - numerator``.
    """
    denominators = numerators = complements = 0
    changed = {patient for patient, _ in before.items() ^ after.items()}
    for patient in changed:
        old_whole, old_part = before.get(patient, NOTHING)
        new_whole, new_part = after.get(patient, NOTHING)
        denominators += old_whole != new_whole
        numerators += old_part != new_part
        complements += scale * old_whole - old_part != scale * new_whole - new_part
    return Difference(denominators, numerators, complements)


def may_move(current: Contributions, earlier: Iterable[Contributions], scale: int = 1) -> bool:
    """True when the cell may be released anew. With nothing released before, it may."""
    return all(difference(before, current, scale).moves for before in earlier)
