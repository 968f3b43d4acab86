"""Encounters: who is the GP of a contact, and by what they are known."""

from typing import Final

from peerview_common.facts import Contact
from peerview_ingest.fhir.resolver import literal, named_type
from peerview_ingest.fhir.setting import Setting
from peerview_ingest.fhir.shapes import Encounter, EncounterParticipant
from peerview_ingest.fhir.values import moment

NO_CONTACT_CLASSES: Final = frozenset({"EMER", "IMP", "ACUTE", "NONAC"})
NO_GPS: Final = ("PractitionerRole", "RelatedPerson")
"""Types of participants that are no GP, whatever identifier is given with them."""


def contact(found: Encounter, at: Setting) -> Contact | None:
    if found.status != "finished":
        at.nothing("status is not finished")
    word = found.class_.code if found.class_ else None
    if word in NO_CONTACT_CLASSES:
        at.nothing("not a GP contact by its class")
    gp = _gp(found, at, ambulatory=word == "AMB")
    if gp is None:
        at.nothing("no identified GP among its participants")
    start = None
    if found.period is not None:
        start = moment(found.period.start, at.place, "period.start", at.notes)
    if start is None:
        at.missing("period.start", "an encounter needs a start")
        return None
    return Contact(start.day, at.keys.gp(gp or ""))


def _gp(found: Encounter, at: Setting, *, ambulatory: bool) -> str | None:
    """The first participant of type PPRF with an identity; else, if ambulatory, the first."""
    first = None
    for participant in found.participant or ():
        identity = _identity(participant, at)
        if identity is None:
            continue
        for concept in participant.type or ():
            for coding in concept.coding or ():
                if coding.code == "PPRF":
                    return identity
        first = first or identity
    return first if ambulatory else None


def _identity(participant: EncounterParticipant, at: Setting) -> str | None:
    individual = participant.individual
    if individual is None:
        return None
    reference, kind = individual.reference, individual.type
    if reference:
        kind, points = _pointed(reference, kind, at)
        if points:
            return reference
    if kind in NO_GPS:
        return None
    given = individual.identifier
    if given is None:
        return None
    value, system = given.value, given.system
    return f"{system or ''}|{value}" if value else None


def _pointed(reference: str, kind: str | None, at: Setting) -> tuple[str | None, bool]:
    """The type of what a participant's reference names, and whether it is an identified GP."""
    if reference.startswith("urn:"):
        target = at.resolver.urn(reference, "Practitioner", *NO_GPS)
        return (target.type if target else kind), bool(target and target.type == "Practitioner")
    inside = at.contained(reference)
    if inside is not None:
        return str(inside.get("resourceType")), False
    if reference.startswith(("Practitioner/", "Practitioner?identifier=")):
        return "Practitioner", True
    target = literal(reference)
    points = target is not None and target.type == "Practitioner"
    return named_type(reference) or kind, points
