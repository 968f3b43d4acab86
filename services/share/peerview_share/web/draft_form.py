"""An agreement as a form: from fields to the document, from a document to fields, and faults beside
the field that they belong to. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from peerview_share.web import draft_clauses, draft_rows
from peerview_share.web.draft_clauses import MISSING, ONE_FIELD, Kind
from peerview_share.web.draft_rows import CONTACTS, PARTIES, RECIPIENTS, Table
from peerview_share.web.forms import Fields

_PLACES: Final = {one.clause: one.field for one in ONE_FIELD} | {
    "parties": "parties",
    "purposes": "purposes",
    "prohibitedUses": "prohibitedUses",
    "dataItems": "items",
    "audiences": "audiences",
    "peerIdentification": "mode",
    "peerIdentification.perIndicator": "items",
    "peerIdentification.reciprocal": "reciprocal",
    "contacts": "contacts",
    "admission": "admission",
    "admission.practice": "admission-practice",
    "admission.percent": "admission-percent",
}
LABELS: Final = {one.field: one.label for one in ONE_FIELD} | {
    "parties": "Parties",
    "purposes": "Purposes",
    "prohibitedUses": "Prohibited uses",
    "items": "Indicators",
    "audiences": "Who may see",
    "reciprocal": "Reciprocal",
    "contacts": "Contacts",
    "admission": "Who lets new practices in",
    "admission-practice": "Code of the lead practice",
    "admission-percent": "Per cent of the parties that must agree",
}
_OWN_MODE: Final = "mode-"
_IN_A_FORM: Final = {
    "peerIdentification.reciprocal": (
        "whoever is no practice of this agreement shares nothing, so it would see nothing; take "
        "the tick away here, or let the member practices alone see"
    ),
    "admission": "choose who decides",
}
"""Faults that are otherwise told in the words of the document."""


@dataclass(slots=True)
class Reading:
    """What a form says, and where each clause of it stands in the form."""

    document: dict[str, Any]
    """JSON values. What makes no sense is kept as it was typed, for the check to tell."""
    places: dict[str, str] = field(default_factory=lambda: dict(_PLACES))
    """``{clause: field}``; a clause without one stands where the one around it does."""
    labels: dict[str, str] = field(default_factory=lambda: dict(LABELS))

    def placed(self, faults: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
        """``{field: what is wrong}``; under "" what belongs to no field of the form."""
        found: dict[str, list[str]] = {}
        for clause, fault in faults:
            where, why = self._field(clause), _IN_A_FORM.get(clause, fault)
            told = f"{self.labels.get(where, clause)}: {why}" if where or clause else why
            if told not in found.setdefault(where, []):
                found[where].append(told)
        return found

    def _field(self, clause: str) -> str:
        while clause and clause not in self.places:
            clause = clause.rpartition(".")[0]
        return self.places.get(clause, "")

    def row(self, table: Table, at: str, row: int) -> None:
        """A row of the form says what stands ``at`` a place of the document."""
        self.places[at] = table.field(row, table.columns[0])
        for column in table.columns:
            where = self.places[f"{at}.{column.name}"] = table.field(row, column)
            self.labels[where] = table.label(row, column)


def document_of(fields: Fields, base: Mapping[str, Any]) -> dict[str, Any]:
    return read(fields, base).document


def read(fields: Fields, base: Mapping[str, Any]) -> Reading:
    """The form that was shown of ``base``, as it came back.

    Clauses that the form does not have stay as in ``base``, and so does the order of lists.
    """
    found = Reading(dict(base))
    document = found.document
    draft_clauses.take(fields, document, base)
    for clause, table in (("parties", PARTIES), ("contacts", CONTACTS)):
        rows = draft_rows.take(table, fields, base.get(clause) or ())
        document[clause] = [value for _, value in rows]
        for number, (row, _) in enumerate(rows):
            found.row(table, f"{clause}.{number}", row)
    for clause in ("purposes", "prohibitedUses"):
        document[clause] = _in_order(fields.all(clause), base.get(clause) or ())
    _audiences(found, fields, base.get("audiences") or ())
    _items(found, fields, base)
    _admission(document, fields, base.get("admission") or {})
    return found


def _audiences(found: Reading, fields: Fields, base: Sequence[Any]) -> None:
    shown = [value for value in base if isinstance(value, Mapping)]
    rows = draft_rows.take(RECIPIENTS, fields, shown)
    chosen: list[Any] = [*fields.all("audiences"), *(value for _, value in rows)]
    found.document["audiences"] = _in_order(chosen, base)
    for number, value in enumerate(found.document["audiences"]):
        for each in rows:
            if each[1] == value:
                found.row(RECIPIENTS, f"audiences.{number}", each[0])
                rows.remove(each)
                break


def _items(found: Reading, fields: Fields, base: Mapping[str, Any]) -> None:
    """Which indicators, and how practices are seen in each."""
    document, before = found.document, base.get("dataItems") or []
    known = {item["indicatorId"]: item for item in before}
    chosen = [known.get(name, {"indicatorId": name}) for name in fields.all("items")]
    document["dataItems"] = _in_order(chosen, before)
    modes = {
        name.removeprefix(_OWN_MODE): mode
        for name in fields.values
        if name.startswith(_OWN_MODE) and (mode := fields.one(name))
    }
    document["peerIdentification"] |= {
        "perIndicator": modes,
        "reciprocal": fields.one("reciprocal") == "yes",
    }
    for name in modes:
        where = found.places[f"peerIdentification.perIndicator.{name}"] = f"{_OWN_MODE}{name}"
        found.labels[where] = f"How practices are seen in {name}"


def _admission(document: dict[str, Any], fields: Fields, base: Mapping[str, Any]) -> None:
    by = fields.one("admission")
    part, kind = {
        "lead-practice": ("practice", Kind.CODE),
        "quorum": ("percent", Kind.NUMBER),
    }.get(by, ("", Kind.CHOICE))
    document.pop("admission", None)
    if part:
        before = base.get(part, MISSING) if base.get("by") == by else MISSING
        value = draft_clauses.taken(kind, fields.one(f"admission-{part}"), before)
        document["admission"] = {"by": by} | ({} if value is MISSING else {part: value})
    elif by:
        document["admission"] = {"by": by}


def _in_order(chosen: Sequence[Any], before: Sequence[Any]) -> list[Any]:
    """What stays as it stood, then what is new. Repetitions stay, where nothing is changed."""
    if all(value in chosen for value in before) and all(value in before for value in chosen):
        return list(before)
    stays = [value for value in chosen if value in before]
    return sorted(stays, key=before.index) + [value for value in chosen if value not in before]


def fields_of(document: Mapping[str, Any]) -> Fields:
    """The form that says what a document says; what it leaves open is at its default."""
    whole = draft_clauses.with_defaults(document)
    identification, admission = whole["peerIdentification"], whole["admission"]
    named = [value for value in whole["audiences"] if isinstance(value, Mapping)]
    values = draft_clauses.show(whole)
    values |= draft_rows.show(PARTIES, whole.get("parties") or ())
    values |= draft_rows.show(RECIPIENTS, named)
    values |= draft_rows.show(CONTACTS, whole["contacts"])
    values |= {
        "purposes": list(whole.get("purposes") or []),
        "prohibitedUses": list(whole["prohibitedUses"]),
        "audiences": [value for value in whole["audiences"] if isinstance(value, str)],
        "items": [item["indicatorId"] for item in whole.get("dataItems") or []],
        "reciprocal": ["yes" if identification["reciprocal"] else ""],
        "admission": [admission["by"]],
        "admission-practice": [admission.get("practice", "")],
        "admission-percent": [str(admission.get("percent", ""))],
    }
    for name, mode in identification["perIndicator"].items():
        values[f"{_OWN_MODE}{name}"] = [mode]
    return Fields(values)
