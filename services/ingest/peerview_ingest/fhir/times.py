"""FHIR's dates and times as moments: days in Europe/London, and milliseconds UTC."""

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final

import msgspec

from peerview_common.days import LONDON, day_of, from_millis, london, millis

MAX_TIME: Final = 64
"""Characters of a date or time: what is longer is none, whatever it begins with."""

_TIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?"
    r"(Z|z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
# an instant as nearly all are written, in years whose London offsets are whole hours
_INSTANT = re.compile(
    r"(?:19|20|21)\d\d-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d{1,6})?"
    r"(?:Z|[+-](?:0\d|1[0-4]):[0-5]\d)",
    re.ASCII,
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(msgspec.Struct, frozen=True, gc=False):
    """A FHIR date or time as a local day in Europe/London."""

    day: int
    elapsed: int
    """Microseconds since that day began."""
    approximate: bool
    """Given as a month or a year: the day is its first."""


def parse_moment(value: str) -> Moment:
    """A FHIR date, dateTime or instant; ValueError when there is no such moment."""
    if len(value) <= 10:
        return _parse_day(value)
    instant = _instant(value)
    if instant is not None:
        hours, rest = divmod(instant.days * 86_400 + instant.seconds, 3_600)
        day, elapsed = _hour(hours)
        return Moment(day, elapsed + rest * 1_000_000 + instant.microseconds, False)
    when, approximate = _parse(value)
    if isinstance(when, datetime):
        return Moment(*london(when), False)
    return Moment(day_of(when), 0, approximate)


def parse_millis(value: str) -> int:
    """Whole milliseconds UTC of a FHIR instant; a date alone is 00:00 in Europe/London."""
    instant = _instant(value)
    if instant is not None:
        seconds = instant.days * 86_400 + instant.seconds
        return seconds * 1_000 + instant.microseconds // 1_000
    when, _ = _parse(value)
    if not isinstance(when, datetime):
        when = datetime.combine(when, datetime.min.time(), tzinfo=LONDON)
    return millis(when)


def _instant(value: str) -> timedelta | None:
    """Time since 1970; None where the text is not in the usual form, or is no time."""
    if _INSTANT.fullmatch(value) is None:
        return None
    try:
        return datetime.fromisoformat(value) - _EPOCH
    except ValueError:  # perhaps a leap second
        return None


@lru_cache(maxsize=8_192)
def _hour(hours: int) -> tuple[int, int]:
    """The local day and what has elapsed of it when an hour since 1970 (UTC) begins: whole hours,
    so that no day begins within one."""
    return london(from_millis(hours * 3_600_000))


@lru_cache(maxsize=4_096)
def _parse_day(value: str) -> Moment:
    when, approximate = _parse(value)
    assert not isinstance(when, datetime)  # noqa: S101 - too short for a time
    return Moment(day_of(when), 0, approximate)


def _parse(value: str) -> tuple[date | datetime, bool]:
    match = _TIME.fullmatch(value) if len(value) <= MAX_TIME else None
    if match is None:
        raise ValueError("not a date or time")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    if hour is None:
        return date(int(year), int(month or 1), int(day or 1)), day is None
    seconds = int(second or 0)
    leap = seconds == 60  # FHIR allows a leap second; it is the next minute's first
    when = datetime(
        int(year),
        int(month),
        int(day),
        int(hour),
        int(minute),
        59 if leap else seconds,
        int((fraction or "0")[:6].ljust(6, "0")),
        tzinfo=_zone(zone),
    )
    try:
        if leap:
            when = (when.astimezone(UTC) + timedelta(seconds=1)).astimezone(when.tzinfo)
        london(when)  # the ends of the calendar have no local day
    except OverflowError as error:
        raise ValueError("out of the calendar") from error
    return when, False


def _zone(zone: str | None) -> tzinfo:
    if zone is None:
        return LONDON
    if zone in "Zz":
        return UTC
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 14 or minutes > 59:
        raise ValueError("no such time zone")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if zone[0] == "-" else offset)
