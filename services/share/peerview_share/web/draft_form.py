"""An agreement as a form: from fields to the document, from a document to fields, and faults beside
the field that they belong to. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from peerview_share.web.forms import Fields

LINES: Final = (
    "id",
    "title",
    "dpiaRef",
    "caldicottApproval",
    "validFrom",
    "validTo",
    "reviewDate",
    "retention",
    "onwardSharing",
)
"""Fields that are clauses by themselves, as texts."""
_DAYS: Final = {"validFrom", "validTo", "reviewDate"}
_LABELS: Final = {
    "id": "Id",
    "title": "Title",
    "dpiaRef": "Impact assessment",
    "caldicottApproval": "Caldicott approval",
    "validFrom": "Holds from",
    "validTo": "Holds to",
    "reviewDate": "To be reviewed on",
    "retention": "How long figures are kept",
    "onwardSharing": "What may be passed on",
    "network-id": "Id of the network",
    "network-name": "Name of the network",
    "network-type": "Kind of network",
    "parties": "Parties",
    "purposes": "Purposes",
    "prohibitedUses": "Prohibited uses",
    "items": "Indicators",
    "mode": "How practices are seen",
    "minPeers": "Other practices that must share",
    "noticeDays": "Days",
    "contact-name": "Contact",
    "contact-email": "Contact's email",
}
EMPTY_ROWS: Final = 3
MAX_ROWS: Final = 500


def document_of(fields: Fields, base: Mapping[str, Any]) -> dict[str, Any]:
    """The document as JSON values. Clauses that the form does not have stay as in ``base``.

    What makes no sense is kept as it was typed, for the check to tell.
    """
    found = dict(base)
    for name in LINES:
        text = fields.one(name)
        found[name] = (text or None) if name in _DAYS else text
    if found["validFrom"] is None:
        del found["validFrom"]
    network = dict(found.get("network") or {})
    found["network"] = network | {
        "id": fields.one("network-id"),
        "name": fields.one("network-name"),
        "type": fields.one("network-type") or "informal",
    }
    found["parties"] = [party for _, party in _parties(fields)]
    found["purposes"] = fields.all("purposes")
    found["prohibitedUses"] = fields.all("prohibitedUses")
    chosen = fields.all("items")
    items = {item["indicatorId"]: item for item in found.get("dataItems") or []}
    found["dataItems"] = [items.get(name, {"indicatorId": name}) for name in chosen]
    found["peerIdentification"] = dict(found.get("peerIdentification") or {}) | {
        "mode": fields.one("mode"),
        "perIndicator": {name: mode for name in chosen if (mode := fields.one(f"mode-{name}"))},
        "reciprocal": fields.one("reciprocal") == "yes",
        "minPeers": _number(fields.one("minPeers")),
    }
    withdrawal = dict(found.get("withdrawal") or {})
    found["withdrawal"] = withdrawal | {"noticeDays": _number(fields.one("noticeDays"))}
    found["contacts"] = [
        {"name": name, "email": email}
        for name, email in [(fields.one("contact-name"), fields.one("contact-email"))]
        if name or email
    ] + list(found.get("contacts") or [])[1:]
    return found


def fields_of(document: Mapping[str, Any]) -> Fields:
    """The form that says what a document says."""
    network = document.get("network") or {}
    identification = document.get("peerIdentification") or {}
    contact = next(iter(document.get("contacts") or []), {})
    values: dict[str, list[str]] = {name: [str(document.get(name) or "")] for name in LINES}
    values |= {
        "network-id": [network.get("id", "")],
        "network-name": [network.get("name", "")],
        "network-type": [network.get("type", "informal")],
        "purposes": list(document.get("purposes") or []),
        "prohibitedUses": list(document.get("prohibitedUses") or []),
        "items": [item["indicatorId"] for item in document.get("dataItems") or []],
        "mode": [identification.get("mode", "")],
        "reciprocal": ["yes" if identification.get("reciprocal", True) else ""],
        "minPeers": [str(identification.get("minPeers", 0))],
        "noticeDays": [str((document.get("withdrawal") or {}).get("noticeDays", 0))],
        "contact-name": [contact.get("name", "")],
        "contact-email": [contact.get("email", "")],
    }
    for name, mode in (identification.get("perIndicator") or {}).items():
        values[f"mode-{name}"] = [mode]
    for row, party in enumerate(document.get("parties") or []):
        values[f"party-{row}-ods"] = [party["odsCode"]]
        values[f"party-{row}-name"] = [party["name"]]
        values[f"party-{row}-role"] = [party.get("role", "controller")]
    return Fields(values)


def rows(fields: Fields, more: int = EMPTY_ROWS) -> int:
    """How many rows of parties the form has: those that say something, and some empty ones."""
    filled = [row for row, _ in _parties(fields)]
    return min(MAX_ROWS, (max(filled) + 1 if filled else 0) + more)


def placed(faults: Iterable[tuple[str, str]], fields: Fields) -> dict[str, list[str]]:
    """``{field: what is wrong}``; under "" what belongs to no field of the form."""
    filled = [row for row, _ in _parties(fields)]
    found: dict[str, list[str]] = {}
    for clause, why in faults:
        field = _field(clause, filled)
        told = f"{_LABELS.get(field, clause)}: {why}"
        if told not in found.setdefault(field, []):
            found[field].append(told)
    return found


def _field(clause: str, filled: list[int]) -> str:
    """The id of the form's field that a clause's fault is shown beside."""
    parts = clause.split(".")
    match parts:
        case [name] if name in LINES:
            return name
        case ["network", name] if name in ("id", "name", "type"):
            return f"network-{name}"
        case ["parties", row, *rest] if row.isdigit() and int(row) < len(filled):
            part = {"odsCode": "ods", "name": "name", "role": "role"}.get("".join(rest), "ods")
            return f"party-{filled[int(row)]}-{part}"
        case ["parties"]:
            return "parties"
        case ["purposes" | "prohibitedUses" as name, *_]:
            return name
        case ["dataItems", *_]:
            return "items"
        case ["peerIdentification", "perIndicator", name, *_]:
            return f"mode-{name}"
        case ["peerIdentification", "perIndicator"]:
            return "items"
        case ["peerIdentification", "minPeers"]:
            return "minPeers"
        case ["peerIdentification", *_]:
            return "mode"
        case ["withdrawal", "noticeDays"]:
            return "noticeDays"
        case ["contacts", "0", "email"]:
            return "contact-email"
        case ["contacts", "0", *_]:
            return "contact-name"
        case _:
            return ""


def _parties(fields: Fields) -> list[tuple[int, dict[str, str]]]:
    """``(row, party)`` of the rows that say something."""
    found = []
    known = [name for name in fields.values if name.startswith("party-") and name.endswith("-ods")]
    for row in sorted(int(n) for name in known if (n := name.split("-")[1]).isdigit()):
        ods, name = fields.one(f"party-{row}-ods").upper(), fields.one(f"party-{row}-name")
        if (ods or name) and row < MAX_ROWS:
            role = fields.one(f"party-{row}-role") or "controller"
            found.append((row, {"odsCode": ods, "name": name, "role": role}))
    return found


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() else text or 0
