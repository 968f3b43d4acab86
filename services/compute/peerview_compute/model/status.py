"""What a rule yields: a status, and whole numbers for the two counts."""

from enum import IntEnum
from typing import Final, TypeAlias


class Status(IntEnum):
    """One patient, one indicator, one day."""

    OUT = 0
    """Not in the indicator's population."""
    EXCLUDED = 1
    EXCEPTION = 2
    MISS = 3
    """In the denominator only."""
    MET = 4
    """In the denominator and in the numerator."""


STATUS_NAMES: Final = {status: status.name.lower() for status in Status}

Contribution: TypeAlias = tuple[int, int, int]
"""``(status, denominator, numerator)``."""
Contributions: TypeAlias = tuple[Contribution, ...]
"""One for each indicator, in the order of ``DefinitionSet.indicators``."""

OUT: Final[Contribution] = (int(Status.OUT), 0, 0)
