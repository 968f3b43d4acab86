"""When cuts happen. One calendar for all networks."""

from dataclasses import dataclass
from typing import Final

from peerview_common.days import LONDON, from_millis

MONTHLY: Final = "monthly"


@dataclass(frozen=True, slots=True)
class Calendar:
    """``every_ms`` between cuts, or None for the first day of each month."""

    every_ms: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Calendar":
        """``monthly`` or ``every:SECONDS``; ValueError for anything else."""
        if text == MONTHLY:
            return cls()
        word, _, seconds = text.partition(":")
        if word != "every" or float(seconds or 0) <= 0:
            raise ValueError(f"the calendar of cuts is monthly or every:SECONDS, not {text!r}")
        return cls(round(float(seconds) * 1000))

    def due(self, since: int, now: int) -> bool:
        """Is a cut due, the last one (or the start of the calendar) having been at ``since``?"""
        if self.every_ms is not None:
            return now - since >= self.every_ms
        return _month(now) > _month(since)

    @property
    def shortened(self) -> bool:
        return self.every_ms is not None

    def words(self) -> str:
        if self.every_ms is None:
            return "every month"
        seconds = self.every_ms / 1000
        if seconds % 60 == 0:
            minutes = round(seconds / 60)
            return "every minute" if minutes == 1 else f"every {minutes} minutes"
        return f"every {seconds:g} seconds"


def _month(moment: int) -> tuple[int, int]:
    local = from_millis(moment).astimezone(LONDON)
    return local.year, local.month
