"""FHIR's elements, read with suspicion: what cannot be taken is noted by its place, and reading
goes on as if it were absent."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from peerview_common.codes import CodeList
from peerview_common.facts import Code, Unit, code_order
from peerview_ingest.fhir.issues import Notes
from peerview_ingest.fhir.shapes import Concept, Period, Quantity, Resource
from peerview_ingest.fhir.times import Moment, parse_moment

Json: TypeAlias = Mapping[str, Any]

UNITS: Final = {
    "mm[Hg]": Unit.MM_HG,
    "mmHg": Unit.MM_HG,
    "mm Hg": Unit.MM_HG,
    "mmol/mol": Unit.MMOL_PER_MOL,
    "%": Unit.PERCENT,
}

ABSURD: Final = 1_000_000
"""Outside what is plausible for everything that is measured."""


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


def moment(value: Any, place: str, name: str, notes: Notes) -> Moment | None:
    """An element as a moment; a fault where it is no possible date."""
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


class Choice(NamedTuple):
    """The names of an element that may be of several types."""

    date_time: str
    instant: str
    period: str

    @classmethod
    def of(cls, name: str) -> "Choice":
        return cls(f"{name}DateTime", f"{name}Instant", f"{name}Period")


def chosen_moment(resource: Resource, names: Choice, place: str, notes: Notes) -> Moment | None:
    """A choice type: dateTime or instant, else a Period's start; anything else is no date."""
    found = moment(getattr(resource, names.date_time), place, names.date_time, notes)
    if found is None:
        found = moment(getattr(resource, names.instant), place, names.instant, notes)
    if found is None:
        period: Period | None = getattr(resource, names.period)
        if period is not None:
            found = moment(period.start, place, f"{names.period}.start", notes)
    return found


def concept_codes(
    codes: CodeList, concept: Concept | None, place: str, name: str, notes: Notes
) -> tuple[Code, ...]:
    """The listed codes of a CodeableConcept, the element ``name`` of what stands at ``place``."""
    if concept is None or not concept.coding:
        return ()
    if len(concept.coding) == 1:
        return sorted_codes(codes.codes_for(concept.coding[0].system, concept.coding[0].code))
    found: list[Code] = []
    for coding in concept.coding:
        found.extend(codes.codes_for(coding.system, coding.code))
    listed = sorted_codes(found)
    if len(listed) > MAX_CODES:
        notes.fault(
            f"{place}.{name}.coding", "too-costly", f"holds more than {MAX_CODES} listed codes"
        )
        return listed[:MAX_CODES]
    return listed


MAX_CODES: Final = 100
"""Of one concept: a fact must stay small, whatever a sender thinks of."""


def sorted_codes(found: Sequence[Code]) -> tuple[Code, ...]:
    return tuple(sorted(set(found), key=code_order)) if len(found) > 1 else tuple(found)


def status_codes(status: str | Concept | None) -> list[str | None]:
    """The codes of a status given as a CodeableConcept (R4) or as a plain code (STU3)."""
    if status is None or isinstance(status, str):
        return [status] if status is not None else []
    return [coding.code for coding in status.coding or ()]


def quantity(found: Quantity | None) -> tuple[int | float | None, Unit]:
    """``(value, unit)`` of a Quantity; no value unless it is a number. One that is longer than any
    reading may be a person's, and is cut to one that is no less absurd."""
    if found is None:
        return None, Unit.ABSENT
    unit = found.code or found.unit
    value = number(found.value)
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
