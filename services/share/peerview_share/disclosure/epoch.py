"""Rule 1: peers see released epochs only, and all practices of a network move at one instant.

There is one series of releases. A network shows every one of them, or every third, and may let
them rest for longer than the preview that all have.
"""

from dataclasses import dataclass
from typing import Final

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Pace:
    """Which releases a network shows, and when.

    Of several active agreements of a network the slowest counts.
    """

    every: int = 1
    rest_days: float = 0.0
    """Days from a cut's publication, beyond the preview of the whole series."""

    def __post_init__(self) -> None:
        if self.every < 1 or self.rest_days < 0:
            raise ValueError("a network shows every release, or every so many, and never ahead")

    def slower(self, other: "Pace") -> "Pace":
        return Pace(max(self.every, other.every), max(self.rest_days, other.rest_days))

    def shows(self, number: int) -> bool:
        """Releases are numbered from 1: a network of every third shows 3, 6, 9."""
        return number % self.every == 0

    def latest_publication(self, now: int) -> int:
        """What was published at this instant or earlier is shown; milliseconds UTC."""
        return now - round(self.rest_days * DAY_MS)


EVERY_RELEASE: Final = Pace()
