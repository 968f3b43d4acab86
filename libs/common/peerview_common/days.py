"""Days as whole numbers, and the one place that knows Europe/London.

A day is the number of days since 1970-01-01 (negative before). Sums and comparisons on days are
then plain integer arithmetic, in the log as in the core.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NewType
from zoneinfo import ZoneInfo

Day = NewType("Day", int)
Millis = NewType("Millis", int)
"""Milliseconds since 1970-01-01T00:00:00Z."""

LONDON = ZoneInfo("Europe/London")
EPOCH = date(1970, 1, 1)
_EPOCH_ORDINAL = EPOCH.toordinal()
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)

LONG_AGO = Day(-1_000_000)
"""Before every day that a record can hold: an unknown start, a death or an end without a date."""


def day_of(value: date) -> Day:
    return Day(value.toordinal() - _EPOCH_ORDINAL)


def date_of(day: int) -> date:
    return date.fromordinal(day + _EPOCH_ORDINAL)


def parse_day(text: str) -> Day:
    """``2026-03-31`` as a day; ValueError when it is not a full ISO date."""
    return day_of(date.fromisoformat(text))


def day_text(day: int) -> str:
    return date_of(day).isoformat()


@lru_cache(maxsize=4_096)
def _midnight_utc(day: int) -> datetime:
    local = datetime.combine(date_of(day), datetime.min.time(), tzinfo=LONDON)
    return local.astimezone(UTC)


def london(instant: datetime) -> tuple[Day, int]:
    """``(day, elapsed)``: the local day in Europe/London, and the microseconds that have really
    passed since that day began. Ordering by the pair is ordering by instant, also on the days on
    which the clocks change. A datetime without a zone is taken as Europe/London.
    """
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=LONDON)
    utc = instant.astimezone(UTC)
    day = day_of(utc.astimezone(LONDON).date())
    return day, (utc - _midnight_utc(day)) // timedelta(microseconds=1)


def millis(instant: datetime) -> Millis:
    """Whole milliseconds UTC, rounded down. A datetime without a zone is Europe/London."""
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=LONDON)
    return Millis((instant - _EPOCH_UTC) // timedelta(milliseconds=1))


def from_millis(value: int) -> datetime:
    return _EPOCH_UTC + timedelta(milliseconds=value)


def iso_millis(value: int) -> str:
    """``2026-11-23T14:05:06.789Z``"""
    return from_millis(value).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_or_none(value: int | None) -> str | None:
    """The same of a moment that may not have come."""
    return None if value is None else iso_millis(value)


def day_of_millis(value: int) -> Day:
    """The local day in Europe/London on which a moment falls."""
    return day_of(from_millis(value).astimezone(LONDON).date())
