"""Dates as suppliers write them, made into FHIR's.

A format is written as for ``strptime``, with fewer directives, and is read more strictly: what fits
in two ways is a mistake of the format, not a guess. Names of months are English, whatever the
machine speaks.
"""

import re
from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from typing import Final

MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            "jan january", "feb february", "mar march", "apr april", "may", "jun june",
            "jul july", "aug august", "sep sept september", "oct october", "nov november",
            "dec december",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip

_TWO_DIGITS: Final = {"d": "day", "m": "month", "H": "hour", "M": "minute", "S": "second"}
_CACHED: Final = 65_536
"""Distinct texts kept: records share their days."""


class DateFormatError(ValueError):
    """A format that cannot be used, with the reason."""


def _pattern(text: str) -> re.Pattern[str]:
    """The regular expression of a format: groups ``year``, ``month`` and so on."""
    parts = re.findall(r"%(.?)|([^%]+)", text)
    pattern, used = "", set[str]()
    for place, (directive, literal) in enumerate(parts):
        if literal:
            pattern += re.escape(literal)
            continue
        if directive in _TWO_DIGITS:
            name = _TWO_DIGITS[directive]
            # 1/2/2026 is fine between separators; between digits a width must be fixed
            before = place == 0 or bool(parts[place - 1][1])
            after = place + 1 == len(parts) or bool(parts[place + 1][1])
            pattern += rf"(?P<{name}>\d{{{'1,' if before and after else ''}2}})"
        elif directive == "Y":
            name, pattern = "year", pattern + r"(?P<year>\d{4})"
        elif directive in ("b", "B"):
            name, pattern = "month", pattern + r"(?P<month>[A-Za-z]{3,9})"
        elif directive == "f":
            name, pattern = "fraction", pattern + r"(?P<fraction>\d{1,9})"
        elif directive == "z":
            name, pattern = "zone", pattern + r"(?P<zone>Z|[+-]\d\d:?\d\d)"
        elif directive == "y":
            raise DateFormatError("%y leaves the century open: give four digits (%Y)")
        else:
            raise DateFormatError(f"%{directive} is not known: use %d %m %b %Y %H %M %S %f %z")
        if name in used:
            raise DateFormatError(f"the {name} is said twice")
        used.add(name)
    if not {"year", "month", "day"} <= used:
        raise DateFormatError("needs a day (%d), a month (%m or %b) and a year (%Y)")
    if ("hour" in used) != ("minute" in used) or (
        used & {"second", "fraction", "zone"} and "hour" not in used
    ):
        raise DateFormatError("a time needs at least its hour and its minute (%H, %M)")
    return re.compile(pattern, re.ASCII)


def check_format(text: str) -> str:
    """The format itself; DateFormatError where it cannot be used."""
    _pattern(text)
    return text


def parser(formats: Sequence[str]) -> Callable[[str], str]:
    """Turns a text into FHIR's date or dateTime by the first format that fits it.

    Without a zone a time is Europe/London, as everywhere. Raises ValueError for a text that fits
    none, or is no day of the calendar; it never repeats the text.
    """
    patterns = [_pattern(text) for text in formats]

    @lru_cache(maxsize=_CACHED)
    def parse(text: str) -> str:
        for pattern in patterns:
            match = pattern.fullmatch(text)
            if match:
                return _iso(match.groupdict())
        raise ValueError("fits no date format of the mapping")

    return parse


def _iso(parts: dict[str, str | None]) -> str:
    named = parts["month"] or ""
    month = int(named) if named.isdigit() else MONTHS.get(named.lower(), 0)
    try:
        day = date(int(parts["year"] or 0), month, int(parts["day"] or 0)).isoformat()
    except ValueError:
        raise ValueError("is not a possible date") from None
    if parts.get("hour") is None:
        return day
    hour, minute = int(parts["hour"] or 0), int(parts["minute"] or 0)
    second = int(parts.get("second") or 0)
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError("is not a possible time")
    time = f"{hour:02}:{minute:02}:{second:02}"
    if fraction := parts.get("fraction"):
        time += f".{fraction[:6]}"
    zone = parts.get("zone") or ""
    return f"{day}T{time}{zone if len(zone) != 5 else f'{zone[:3]}:{zone[3:]}'}"
