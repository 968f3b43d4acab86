"""Encounters: who is the GP of a contact, and by what they are known."""

from typing import Final

from peerview_common.facts import Contact
from peerview_ingest.fhir.resolver import literal, named_type
from peerview_ingest.fhir.setting import Setting
from peerview_ingest.fhir.values import Json, child, children, moment, text

NO_CONTACT_CLASSES: Final = frozenset({"EMER", "IMP", "ACUTE", "NONAC"})


def contact(resource: Json, at: Setting) -> Contact | None:
    place, notes = at.place, at.notes
    at.need_status(resource, "finished")
    encounter_class = child(resource, "class", place, notes)
    word = text(encounter_class, "code", f"{place}.class", notes) if encounter_class else None
    if word in NO_CONTACT_CLASSES:
        at.nothing("not a GP contact by its class")
    gp = _gp(resource, at, ambulatory=word == "AMB")
    if gp is None:
        at.nothing("no identified GP among its participants")
    period = child(resource, "period", place, notes) or {}
    start = moment(period, "start", f"{place}.period", notes)
    if start is None:
        at.missing("period.start", "an encounter needs a start")
        return None
    return Contact(start.day, at.keys.gp(gp or ""))


def _gp(resource: Json, at: Setting, *, ambulatory: bool) -> str | None:
    """The first participant of type PPRF with an identity; else, if ambulatory, the first."""
    first = None
    for number, participant in enumerate(children(resource, "participant", at.place, at.notes)):
        place = f"{at.place}.participant[{number}]"
        found = _identity(participant, at, place)
        if found is None:
            continue
        for type_number, concept in enumerate(children(participant, "type", place, at.notes)):
            codings = children(concept, "coding", f"{place}.type[{type_number}]", at.notes)
            if any(coding.get("code") == "PPRF" for coding in codings):
                return found
        first = first or found
    return first if ambulatory else None


def _identity(participant: Json, at: Setting, place: str) -> str | None:
    notes = at.notes
    individual = child(participant, "individual", place, notes)
    if individual is None:
        return None
    place = f"{place}.individual"
    reference = text(individual, "reference", place, notes)
    kind = text(individual, "type", place, notes)
    if reference is not None:
        kind, points = _pointed(reference, kind, at)
        if points:
            return reference
    if kind in ("PractitionerRole", "RelatedPerson"):
        return None
    identifier = child(individual, "identifier", place, notes)
    if identifier is None:
        return None
    value = text(identifier, "value", f"{place}.identifier", notes)
    system = text(identifier, "system", f"{place}.identifier", notes) or ""
    return f"{system}|{value}" if value else None


def _pointed(reference: str, kind: str | None, at: Setting) -> tuple[str | None, bool]:
    """The type of what a participant's reference names, and whether it is an identified GP."""
    if reference.startswith("urn:"):
        target = at.resolver.urn(reference)
        return (target.type if target else kind), bool(target and target.type == "Practitioner")
    inside = at.contained.get(reference)
    if inside is not None:
        return str(inside.get("resourceType")), False
    target = literal(reference)
    points = (target is not None and target.type == "Practitioner") or (
        reference.startswith(("Practitioner/", "Practitioner?identifier="))
    )
    return named_type(reference) or kind, points
