"""What a measure is, and what one finds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from peerview_tools.bench.surroundings import Surroundings

Size = Literal["full", "quick", "tiny"]
"""Full for the table, quick to see within two minutes where things stand, tiny for the tests."""


@dataclass(frozen=True)
class Found:
    """``against`` says what the value stands beside: the other side of a ratio, the whole sizes."""

    value: float
    against: str
    holds: bool = True
    """A second condition, where a measure has one; ``against`` tells of it."""


@dataclass(frozen=True)
class Measure:
    name: str
    what: str
    """For the table: what is measured, in one sentence."""
    unit: str
    target: float
    sense: Literal["at least", "at most"]
    run: Callable[["Surroundings", Size], Found]

    def reached(self, value: float) -> bool:
        return value >= self.target if self.sense == "at least" else value <= self.target

    def line(self, found: Found) -> dict[str, Any]:
        """The line of JSON."""
        return {
            "measure": self.name,
            "value": rounded(found.value),
            "unit": self.unit,
            "target": self.target,
            "ok": found.holds and self.reached(found.value),
            "against": found.against,
        }


def rounded(value: float) -> float:
    """Three digits that say something, and whole numbers from a hundred."""
    return round(value) if abs(value) >= 100 else float(f"{value:.3g}")
