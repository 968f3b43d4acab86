"""FHIR's JSON, read with suspicion: every function notes the place of what it cannot take, and
reads on as if it were absent."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, Final, TypeAlias

from peerview_common.codes import CodeList
from peerview_common.days import LONDON, day_of, london, millis
from peerview_common.facts import Code, Unit, code_order
from peerview_ingest.fhir.issues import Notes

Json: TypeAlias = Mapping[str, Any]

UNITS: Final = {
    "mm[Hg]": Unit.MM_HG,
    "mmHg": Unit.MM_HG,
    "mm Hg": Unit.MM_HG,
    "mmol/mol": Unit.MMOL_PER_MOL,
    "%": Unit.PERCENT,
}

MAX_TIME: Final = 64
"""Characters of a date or time: what is longer is none, whatever it begins with."""
ABSURD: Final = 1_000_000
"""Outside what is plausible for everything that is measured."""

_TIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?"
    r"(Z|z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Moment:
    """A FHIR date or time as a local day in Europe/London."""

    day: int
    elapsed: int
    """Microseconds since that day began."""
    approximate: bool
    """Given as a month or a year: the day is its first."""


def child(parent: Json, name: str, place: str, notes: Notes) -> Json | None:
    value = parent.get(name)
    if value is None or isinstance(value, dict):
        return value
    notes.fault(f"{place}.{name}", "structure", "must be an object")
    return None


def children(parent: Json, name: str, place: str, notes: Notes) -> list[Json]:
    """A list of objects; what is no object in it is noted, and empty, so that places still hold."""
    value = parent.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        notes.fault(f"{place}.{name}", "structure", "must be a list")
        return []
    for item in value:
        if not isinstance(item, dict):
            return _mended(value, f"{place}.{name}", notes)
    return value


def _mended(items: list[Any], place: str, notes: Notes) -> list[Json]:
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            notes.fault(f"{place}[{number}]", "structure", "must be an object")
    return [item if isinstance(item, dict) else {} for item in items]


def text(parent: Json, name: str, place: str, notes: Notes) -> str | None:
    """A text, None where it is absent or empty."""
    value = parent.get(name)
    if value is None or isinstance(value, str):
        return value or None
    notes.fault(f"{place}.{name}", "structure", "must be a text")
    return None


def flag(parent: Json, name: str, place: str, notes: Notes) -> bool | None:
    value = parent.get(name)
    if value is None or isinstance(value, bool):
        return value
    notes.fault(f"{place}.{name}", "structure", "must be true or false")
    return None


@lru_cache(maxsize=32_768)
def parse_moment(value: str) -> Moment:
    """A FHIR date, dateTime or instant; ValueError when there is no such moment."""
    if len(value) == 10:
        match = _TIME.fullmatch(value)
        if match:
            return Moment(day_of(date.fromisoformat(value)), 0, False)
    when, approximate = _parse(value)
    if isinstance(when, datetime):
        day, elapsed = london(when)
        return Moment(day, elapsed, False)
    return Moment(day_of(when), 0, approximate)


def parse_millis(value: str) -> int:
    """Whole milliseconds UTC of a FHIR instant; a date alone is 00:00 in Europe/London."""
    when, _ = _parse(value)
    if not isinstance(when, datetime):
        when = datetime.combine(when, datetime.min.time(), tzinfo=LONDON)
    return millis(when)


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


def _zone(zone: str | None) -> timezone | Any:
    if zone is None:
        return LONDON
    if zone in "Zz":
        return UTC
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 14 or minutes > 59:
        raise ValueError("no such time zone")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if zone[0] == "-" else offset)


def moment(parent: Json, name: str, place: str, notes: Notes) -> Moment | None:
    """An element as a moment; a fault where it is no possible date."""
    value = parent.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            return parse_moment(value)
        except (ValueError, OverflowError):
            pass
    notes.fault(f"{place}.{name}", "value", NO_DATE)
    return None


NO_DATE: Final = "is not a possible date or time"


def chosen_moment(parent: Json, name: str, place: str, notes: Notes) -> Moment | None:
    """A choice type: dateTime or instant, else a Period's start; anything else is no date."""
    for kind in ("DateTime", "Instant"):
        found = moment(parent, name + kind, place, notes)
        if found is not None:
            return found
    period = child(parent, f"{name}Period", place, notes)
    return moment(period, "start", f"{place}.{name}Period", notes) if period else None


def concept_codes(
    codes: CodeList, concept: Json | None, place: str, notes: Notes
) -> tuple[Code, ...]:
    """The listed codes of a CodeableConcept."""
    found: list[Code] = []
    if concept is not None:
        for number, coding in enumerate(children(concept, "coding", place, notes)):
            at = f"{place}.coding[{number}]"
            system, code = text(coding, "system", at, notes), text(coding, "code", at, notes)
            found.extend(codes.codes_for(system, code))
    listed = sorted_codes(found)
    if len(listed) > MAX_CODES:
        notes.fault(f"{place}.coding", "too-costly", f"holds more than {MAX_CODES} listed codes")
        return listed[:MAX_CODES]
    return listed


MAX_CODES: Final = 100
"""Of one concept: a fact must stay small, whatever a sender thinks of."""


def sorted_codes(found: list[Code]) -> tuple[Code, ...]:
    return tuple(sorted(set(found), key=code_order)) if len(found) > 1 else tuple(found)


def status_codes(parent: Json, name: str, place: str, notes: Notes) -> list[str | None]:
    """The codes of a status given as a CodeableConcept (R4) or as a plain code (STU3)."""
    value = parent.get(name)
    if isinstance(value, str):
        return [value]
    concept = child(parent, name, place, notes)
    if concept is None:
        return []
    at = f"{place}.{name}"
    return [
        text(coding, "code", f"{at}.coding[{number}]", notes)
        for number, coding in enumerate(children(concept, "coding", at, notes))
    ]


def quantity(parent: Json, name: str, place: str, notes: Notes) -> tuple[int | float | None, Unit]:
    """``(value, unit)`` of a Quantity; no value unless it is a number. One that is longer than any
    reading may be a person's, and is cut to one that is no less absurd."""
    found = child(parent, name, place, notes)
    if found is None:
        return None, Unit.ABSENT
    at = f"{place}.{name}"
    unit = text(found, "code", at, notes) or text(found, "unit", at, notes)
    value = number(found.get("value"))
    if value is not None and abs(value) > ABSURD:
        value = ABSURD
    return value, UNITS.get(unit, Unit.OTHER) if unit else Unit.ABSENT


def number(value: object) -> int | float | None:
    """A JSON number that a record can hold: a whole one stays whole within 53 bits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        real = float(value)
    except OverflowError:
        return None
    if not math.isfinite(real):
        return None
    return int(real) if real.is_integer() and abs(real) < 2**53 else real
