"""A document in, an agreement or all its faults out: each by its clause, in plain words."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Annotated, Any, Final, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from peerview_common.catalogue import catalogue
from peerview_share.agreements import consistency, life
from peerview_share.agreements.clauses import Limits
from peerview_share.agreements.consistency import Fault
from peerview_share.agreements.document import Agreement

_KEY: Final = "[key]"


class FaultyDocumentError(Exception):
    """A document that is no agreement, with everything that is wrong with it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{fault.clause}: {fault.why}" for fault in faults))
        self.faults = faults


def parse(document: Any) -> Agreement:
    """Raises FaultyDocumentError with all faults at once, also those between clauses."""
    found = check(document)
    if found:
        raise FaultyDocumentError(found)
    return Agreement.model_validate(document)


def check(document: Any) -> list[Fault]:
    """Every fault of a document given as JSON values."""
    if not isinstance(document, Mapping):
        return [Fault("", "an agreement is a JSON object")]
    clauses = {info.alias or name: name for name, info in Agreement.model_fields.items()}
    found = [
        Fault(str(alias), f"there is no such clause{_meant(alias, clauses)}")
        for alias in document
        if alias not in clauses
    ]
    well: dict[str, Any] = {}
    for alias, name in clauses.items():
        info = Agreement.model_fields[name]
        if alias not in document:
            if info.is_required():
                found.append(Fault(alias, "is missing"))
            else:
                well[name] = info.get_default(call_default_factory=True)
            continue
        try:
            well[name] = _adapter(name).validate_json(json.dumps(document[alias]))
        except ValidationError as error:
            found.extend(_fault(alias, detail) for detail in error.errors(include_url=False))
    found.extend(consistency.faults(well))
    inside = {whole for fault in found for whole, dot, _ in [fault.clause.rpartition(".")] if dot}
    # what is told of a part is not told of the whole once more
    general = (_AUDIENCE, _TOO_FEW.format(1))
    return [
        fault
        for fault in _once_each(found)
        if fault.clause not in inside or fault.why not in general
    ]


def check_over(document: Agreement, now: int) -> list[Fault]:
    """An agreement whose last day has passed: nobody would ever see anything under it. ``now`` is
    milliseconds UTC."""
    ends = life.ends(document)
    if ends is None or now < ends:
        return []
    why = f"{document.valid_to} has passed: nobody would see anything under it"
    return [Fault("validTo", why)]


def check_limits(limits: Limits) -> list[Fault]:
    """An indicator that is not there: whoever wrote it would think that another one is hidden."""
    return [
        Fault(f"perIndicator.{name}", f"there is no indicator “{name}”{_meant(name, catalogue())}")
        for name in limits.per_indicator
        if name not in catalogue()
    ]


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    form = get_type_hints(Agreement, include_extras=True)[name]
    bounds = Agreement.model_fields[name].metadata
    return TypeAdapter(Annotated[(form, *bounds)] if bounds else form)


def _fault(alias: str, detail: ErrorDetails) -> Fault:
    place = _place(detail)
    if alias == "audiences" and place and len(place) == 1:
        # one fault for each, not one for each form that it might have had
        return Fault(f"{alias}.{place[0]}", _AUDIENCE)
    return Fault(".".join([alias, *place]), _why(detail))


def _place(detail: ErrorDetails) -> list[str]:
    """Without the names by which pydantic tells apart the forms of a clause."""
    return [
        str(part)
        for part in detail["loc"]
        if part != _KEY
        and not re.match(r"^(literal\[|Recipient$|lead-practice$|quorum$)", str(part))
    ]


def _why(detail: ErrorDetails) -> str:
    kind, given, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    shown = f"“{given}” " if isinstance(given, str | int | float) and given != "" else ""
    match kind:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "there is no such clause"
        case "literal_error" | "enum":
            return f"{shown}is not one of {context.get('expected')}"
        case "string_pattern_mismatch":
            return f"{shown}{_PATTERNS.get(str(context.get('pattern')), 'has another form')}"
        case "string_too_short" | "too_short":
            least = context.get("min_length")
            return _TOO_FEW.format(least) if kind == "too_short" else "must not be empty"
        case "string_too_long" | "too_long":
            return f"is too long: at most {context.get('max_length')}"
        case "greater_than_equal":
            return f"{shown}is too small: at least {context.get('ge')}"
        case "less_than_equal":
            return f"{shown}is too large: at most {context.get('le')}"
        case "multiple_of":
            return f"{shown}is not a multiple of {context.get('multiple_of')}"
        case "date_from_datetime_parsing" | "date_parsing" | "date_type":
            return f"{shown}is not a day such as 2026-04-01"
        case "union_tag_not_found" | "union_tag_invalid":
            return 'needs "by": "lead-practice" or "quorum"'
        case "string_type":
            return "must be a text"
        case "int_type" | "int_parsing" | "int_from_float":
            return f"{shown}is not a whole number"
        case "bool_type" | "bool_parsing":
            return f"{shown}is neither true nor false"
        case "model_type" | "dict_type" | "model_attributes_type":
            return "must be an object with clauses of its own"
        case "tuple_type":
            return "must be a list"
        case _:
            return detail["msg"]


_TOO_FEW: Final = "needs at least {}"
_AUDIENCE: Final = (
    'is "members", "network-staff", or a named recipient {"odsCode": "...", "name": "..."}'
)
_PATTERNS: Final = {
    r"^[A-Z0-9]{3,10}$": "is not an organisation code: 3 to 10 capital letters and digits",
    r"^[a-z0-9][a-z0-9-]{1,40}$": "is not a network's id: small letters, digits and hyphens",
    r"^[a-z0-9][a-z0-9-]{1,62}$": "is not an agreement's id: small letters, digits and hyphens",
    r"^(\*|\d{4}\.\d+|\d{4}\.\d+-\d{4}\.\d+)$": "is not a range of versions: *, 2026.1, or "
    "2025.1-2026.2",
}


def _meant(alias: Any, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(alias), [*known], 1)
    return f"; is {close[0]} meant?" if close else ""


def _once_each(found: list[Fault]) -> list[Fault]:
    return list(dict.fromkeys(found))
