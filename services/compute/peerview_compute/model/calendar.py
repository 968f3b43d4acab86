"""Calendar months and birthdays on whole days: the rules of "in the last N months" and of "age".

All functions are pure, on days since 1970-01-01, and remember their answers: the core asks for the
same few days over and over.
"""

from datetime import MAXYEAR, MINYEAR, date
from functools import lru_cache
from typing import Final

from peerview_common.days import LONG_AGO, date_of, day_of

NEVER: Final = 2**31 - 1
"""After every day that a record can hold: a change that does not come."""

_SOONEST: Final = day_of(date(MINYEAR, 1, 1))
_LATEST: Final = day_of(date(MAXYEAR, 12, 31))
_LENGTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _length(year: int, month: int) -> int:
    if month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
        return 29
    return _LENGTHS[month - 1]


@lru_cache(maxsize=65_536)
def add_months(day: int, months: int) -> int:
    """The same day of the month, ``months`` later (or earlier, when negative).

    A day that the other month lacks becomes that month's last day. ``LONG_AGO`` and ``NEVER``
    stand in for what no calendar holds.
    """
    if not _SOONEST <= day <= _LATEST:
        return LONG_AGO if day < _SOONEST else NEVER
    start = date_of(day)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    if not MINYEAR <= year <= MAXYEAR:
        return LONG_AGO if year < MINYEAR else NEVER
    return day_of(date(year, month + 1, min(start.day, _length(year, month + 1))))


@lru_cache(maxsize=65_536)
def lapse(day: int, months: int) -> int:
    """The first day ``D`` on which ``D - months < day`` no longer holds.

    It is the same day of the month, ``months`` later; where that month lacks the day, the first of
    the next month: all days of the shorter month, less ``months``, are still before ``day``.
    """
    if not _SOONEST <= day <= _LATEST:
        return LONG_AGO if day < _SOONEST else NEVER
    start = date_of(day)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    if not MINYEAR <= year <= MAXYEAR:
        return LONG_AGO if year < MINYEAR else NEVER
    if start.day > _length(year, month + 1):
        return day_of(date(year, month + 1, _length(year, month + 1))) + 1
    return day_of(date(year, month + 1, start.day))


@lru_cache(maxsize=65_536)
def birthday(birth: int, years: int) -> int:
    """The day on which somebody born on ``birth`` is ``years`` old; 29 February counts as 1 March
    in other years."""
    if not _SOONEST <= birth <= _LATEST:
        return LONG_AGO if birth < _SOONEST else NEVER
    born = date_of(birth)
    year = born.year + years
    if not MINYEAR <= year <= MAXYEAR:
        return LONG_AGO if year < MINYEAR else NEVER
    if born.day > _length(year, born.month):
        return day_of(date(year, 3, 1))
    return day_of(date(year, born.month, born.day))
