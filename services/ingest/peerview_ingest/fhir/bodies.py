"""The FHIR mapping: from one resource to the body of its fact.

Each function gives a body, or raises ``Nothing`` where status, codes or participants leave nothing
to count (such a version still beats earlier ones), or ``Fault`` where the resource cannot be taken.
Status comes before codes, codes before dates: what counts for nothing needs no date.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from peerview_common.codes import OBJECTION, CodeList
from peerview_common.days import LONG_AGO, day_of_millis
from peerview_common.facts import (
    EARLIEST,
    NATIONAL_CATEGORIES,
    Appointment,
    AppointmentStatus,
    Body,
    Code,
    Coded,
    Component,
    Contact,
    GeneralPractice,
    Person,
    Registration,
    Sex,
    Unit,
)
from peerview_ingest.fhir.issues import Fault, Issue
from peerview_ingest.fhir.keys import Keys
from peerview_ingest.fhir.objection import UNDATED
from peerview_ingest.fhir.resolver import Resolver, contained, literal, named_type, practice_of
from peerview_ingest.fhir.values import (
    Json,
    Moment,
    child,
    children,
    chosen_moment,
    concept_codes,
    flag,
    moment,
    quantity,
    sorted_codes,
    status_codes,
    text,
)

VACCINATION_PROCEDURE: Final = (
    "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-VaccinationProcedure"
)
ORDERS: Final = frozenset(
    {"order", "original-order", "reflex-order", "filler-order", "instance-order"}
)
NO_CONTACT_CLASSES: Final = frozenset({"EMER", "IMP", "ACUTE", "NONAC"})
NOBODY_STATUSES: Final = frozenset({"planned", "waitlist", "cancelled"})
RESOLVED_STATUSES: Final = frozenset({"resolved", "inactive", "remission"})
SEXES: Final = {"male": Sex.MALE, "female": Sex.FEMALE, "other": Sex.OTHER}
APPOINTMENT_STATUSES: Final = {
    status.name.lower().replace("_", "-"): status for status in AppointmentStatus
}
CATEGORY_INDEX: Final = {name: index for index, name in enumerate(NATIONAL_CATEGORIES)}


class Nothing(Exception):
    """Well formed, but nothing in it counts."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Setting:
    """What a mapping may look at besides the resource, and where it notes what it saw."""

    codes: CodeList
    keys: Keys
    resolver: Resolver
    practice: str
    register_all: bool
    stamp: int
    """``lastUpdated`` in milliseconds; the time of receipt, or EARLIEST, where it has none."""
    stamped: bool
    place: str
    issues: list[Issue]

    def resolved_day(self, receipt: bool) -> int:
        """The day of ``lastUpdated``, or of receipt where one is known."""
        known = self.stamped or (receipt and self.stamp != EARLIEST)
        return day_of_millis(self.stamp) if known else LONG_AGO

    def warn(self, expression: str, code: str, diagnostics: str) -> None:
        self.issues.append(Issue("warning", code, expression, diagnostics))


def person(resource: Json, at: Setting) -> Person:
    place = at.place
    birth = moment(resource, "birthDate", place)
    died = moment(resource, "deceasedDateTime", place)
    dead = flag(resource, "deceasedBoolean", place)
    inactive = flag(resource, "active", place) is False
    if birth is not None and birth.approximate:
        at.warn(f"{place}.birthDate", "informational", "given as a month or year: first day taken")
    return Person(
        birth=birth.day if birth else None,
        sex=SEXES.get(text(resource, "gender", place) or "", Sex.UNKNOWN),
        died=died.day if died else LONG_AGO if dead else None,
        practice=_general_practice(resource, at),
        inactive_from=at.resolved_day(receipt=False) if inactive else None,
        birth_approximate=bool(birth and birth.approximate),
    )


def _general_practice(resource: Json, at: Setting) -> GeneralPractice:
    references = children(resource, "generalPractitioner", at.place)
    if not references:
        return GeneralPractice.HERE if at.register_all else GeneralPractice.ABSENT
    for number, reference in enumerate(references):
        place = f"{at.place}.generalPractitioner[{number}]"
        practice = practice_of(resource, reference, place, at.resolver, bare_identifier=False)
        if practice is None or practice == at.practice:
            return GeneralPractice.HERE
    return GeneralPractice.ELSEWHERE


def registration(resource: Json, at: Setting) -> Registration:
    status = text(resource, "status", at.place)
    if status == "entered-in-error":
        raise Nothing("entered in error")
    organisation = child(resource, "managingOrganization", at.place)
    practice = None
    if organisation is not None:
        place = f"{at.place}.managingOrganization"
        practice = practice_of(resource, organisation, place, at.resolver, bare_identifier=True)
    period = child(resource, "period", at.place) or {}
    start = moment(period, "start", f"{at.place}.period")
    end = moment(period, "end", f"{at.place}.period")
    return Registration(
        here=practice in (None, at.practice) and status not in NOBODY_STATUSES,
        start=start.day if start else LONG_AGO,
        end=end.day if end else None,
    )


def condition(resource: Json, at: Setting) -> Coded:
    verification = status_codes(resource, "verificationStatus", at.place)
    if verification and not {"confirmed", "provisional"} & set(verification):
        raise Nothing("verificationStatus is neither confirmed nor provisional")
    codes = _listed(at, child(resource, "code", at.place), f"{at.place}.code")
    resolved = None
    if RESOLVED_STATUSES & set(status_codes(resource, "clinicalStatus", at.place)):
        abated = chosen_moment(resource, "abatement", at.place)
        resolved = abated.day if abated else at.resolved_day(receipt=True)
    when = chosen_moment(resource, "onset", at.place) or moment(resource, "recordedDate", at.place)
    return _coded(at, codes, when, "onset", resolved=resolved)


def observation(resource: Json, at: Setting) -> Coded:
    _need_status(resource, at, "final", "amended", "corrected")
    codes = _listed(at, child(resource, "code", at.place), f"{at.place}.code")
    value, unit = quantity(resource, "valueQuantity", at.place)
    components: list[Component] = []
    if _in_cluster(at.codes, codes, "BP_PANEL"):
        for number, part in enumerate(children(resource, "component", at.place)):
            place = f"{at.place}.component[{number}]"
            own = concept_codes(at.codes, child(part, "code", place), f"{place}.code")
            if own:
                amount, own_unit = quantity(part, "valueQuantity", place)
                components.append(Component(own, amount, int(own_unit)))
                _say_implausible(at, own, amount, own_unit, f"{place}.valueQuantity")
    _say_implausible(at, codes, value, unit, f"{at.place}.valueQuantity")
    when = chosen_moment(resource, "effective", at.place)
    return _coded(at, codes, when, "effective", value, unit, components=tuple(components))


def procedure(resource: Json, at: Setting) -> Coded:
    _need_status(resource, at, "completed")
    codes = _listed(at, child(resource, "code", at.place), f"{at.place}.code")
    return _coded(at, codes, chosen_moment(resource, "performed", at.place), "performed")


def immunization(resource: Json, at: Setting) -> Coded:
    _need_status(resource, at, "completed")
    found = list(
        concept_codes(at.codes, child(resource, "vaccineCode", at.place), f"{at.place}.vaccineCode")
    )
    for number, extension in enumerate(children(resource, "extension", at.place)):
        if extension.get("url") == VACCINATION_PROCEDURE:
            place = f"{at.place}.extension[{number}]"
            concept = child(extension, "valueCodeableConcept", place)
            found.extend(concept_codes(at.codes, concept, f"{place}.valueCodeableConcept"))
    codes = sorted_codes(found)
    if not codes:
        raise Nothing("no code that a listed cluster holds")
    return _coded(at, codes, chosen_moment(resource, "occurrence", at.place), "occurrence")


def medication_request(resource: Json, at: Setting) -> Coded:
    status = text(resource, "status", at.place)
    if status in ("cancelled", "draft", "entered-in-error"):
        raise Nothing("not a prescription by its status")
    intent = text(resource, "intent", at.place)
    if intent is not None and intent not in ORDERS:
        raise Nothing("not an order by its intent")
    if flag(resource, "doNotPerform", at.place):
        raise Nothing("doNotPerform is true")
    concept = child(resource, "medicationCodeableConcept", at.place)
    place = f"{at.place}.medicationCodeableConcept"
    reference = child(resource, "medicationReference", at.place)
    if concept is None and reference is not None:
        place = f"{at.place}.medicationReference"
        medication = contained(resource, text(reference, "reference", place) or "", at.place)
        if medication is None or medication.get("resourceType") != "Medication":
            raise Fault(
                place, "not-supported", "counts only when it points to a contained resource"
            )
        concept = child(medication, "code", place)
    codes = _listed(at, concept, place)
    return _coded(at, codes, moment(resource, "authoredOn", at.place), "authoredOn")


def appointment(resource: Json, at: Setting) -> Appointment:
    word = text(resource, "status", at.place)
    if word == "entered-in-error":
        raise Nothing("entered in error")
    status = APPOINTMENT_STATUSES.get(word or "")
    if status is None:
        at.warn(f"{at.place}.status", "code-invalid", "not a status of FHIR: taken as booked")
        status = AppointmentStatus.BOOKED
    start = moment(resource, "start", at.place)
    booked = moment(resource, "created", at.place)
    if start is None:
        raise Fault(f"{at.place}.start", "required", "an appointment needs a start")
    return Appointment(start.day, booked.day if booked else None, status, _category(resource, at))


def _category(resource: Json, at: Setting) -> int | None:
    for number, concept in enumerate(children(resource, "serviceType", at.place)):
        place = f"{at.place}.serviceType[{number}]"
        words = [text(concept, "text", place)]
        for place_number, coding in enumerate(children(concept, "coding", place)):
            words.append(text(coding, "code", f"{place}.coding[{place_number}]"))
        for word in words:
            if word in CATEGORY_INDEX:
                return CATEGORY_INDEX[word]
    return None


def contact(resource: Json, at: Setting) -> Contact:
    _need_status(resource, at, "finished")
    encounter_class = child(resource, "class", at.place)
    word = text(encounter_class, "code", f"{at.place}.class") if encounter_class else None
    if word in NO_CONTACT_CLASSES:
        raise Nothing("not a GP contact by its class")
    gp = _gp(resource, at, ambulatory=word == "AMB")
    if gp is None:
        raise Nothing("no identified GP among its participants")
    period = child(resource, "period", at.place) or {}
    start = moment(period, "start", f"{at.place}.period")
    if start is None:
        raise Fault(f"{at.place}.period.start", "required", "an encounter needs a start")
    return Contact(start.day, at.keys.gp(gp))


def _gp(resource: Json, at: Setting, *, ambulatory: bool) -> str | None:
    """The first participant of type PPRF with an identity; else, if ambulatory, the first."""
    first = None
    for number, participant in enumerate(children(resource, "participant", at.place)):
        place = f"{at.place}.participant[{number}]"
        found = _identity(resource, participant, at, place)
        if found is None:
            continue
        for type_number, concept in enumerate(children(participant, "type", place)):
            codings = children(concept, "coding", f"{place}.type[{type_number}]")
            if any(coding.get("code") == "PPRF" for coding in codings):
                return found
        first = first or found
    return first if ambulatory else None


def _identity(resource: Json, participant: Json, at: Setting, place: str) -> str | None:
    individual = child(participant, "individual", place)
    if individual is None:
        return None
    place = f"{place}.individual"
    reference = text(individual, "reference", place)
    kind = text(individual, "type", place)
    if reference is not None:
        inside = contained(resource, reference, at.place)
        if reference.startswith("urn:"):
            target = at.resolver.urn(reference)
            kind = target.type if target else kind
            points = target is not None and target.type == "Practitioner"
        elif inside is not None:
            kind, points = str(inside.get("resourceType")), False
        else:
            kind = named_type(reference) or kind
            target = literal(reference)
            points = (target is not None and target.type == "Practitioner") or (
                reference.startswith(("Practitioner/", "Practitioner?identifier="))
            )
        if points:
            return reference
    if kind in ("PractitionerRole", "RelatedPerson"):
        return None
    identifier = child(individual, "identifier", place)
    if identifier is None:
        return None
    value = text(identifier, "value", f"{place}.identifier")
    system = text(identifier, "system", f"{place}.identifier") or ""
    return f"{system}|{value}" if value else None


def _need_status(resource: Json, at: Setting, *wanted: str) -> None:
    if text(resource, "status", at.place) not in wanted:
        raise Nothing(f"status is not {' or '.join(wanted)}")


def _listed(at: Setting, concept: Json | None, place: str) -> tuple[Code, ...]:
    codes = concept_codes(at.codes, concept, place)
    if not codes:
        raise Nothing("no code that a listed cluster holds")
    return codes


def _coded(
    at: Setting,
    codes: tuple[Code, ...],
    when: Moment | None,
    element: str,
    value: int | float | None = None,
    unit: Unit = Unit.ABSENT,
    *,
    resolved: int | None = None,
    components: tuple[Component, ...] = (),
) -> Coded:
    if when is None:
        dissent = tuple(code for code in codes if _in_cluster(at.codes, (code,), OBJECTION))
        if not dissent:
            raise Fault(f"{at.place}.{element}", "required", "has no date, so it can take no part")
        return Coded(UNDATED, 0, dissent, None, Unit.ABSENT, None, ())
    return Coded(when.day, when.elapsed, codes, value, int(unit), resolved, components)


def _in_cluster(codes: CodeList, found: tuple[Code, ...], cluster: str) -> bool:
    return any(cluster in codes.clusters_of(code) for code in found)


def _say_implausible(
    at: Setting, codes: tuple[Code, ...], value: int | float | None, unit: Unit, place: str
) -> None:
    if value is None:
        return
    clusters = frozenset[str]().union(*(at.codes.clusters_of(code) for code in codes))
    percent = "HBA1C_PERCENT" in clusters and not (
        "HBA1C_IFCC" in clusters and unit in (Unit.ABSENT, Unit.MMOL_PER_MOL)
    )
    for prefix, (low, high, own) in PLAUSIBLE.items():
        if not any(cluster.startswith(prefix) for cluster in clusters):
            continue
        wanted = Unit.PERCENT if own is Unit.MMOL_PER_MOL and percent else own
        if unit not in (Unit.ABSENT, wanted):
            at.warn(place, "value", "not in the unit of its code: it counts as no reading")
            return
        amount = 10.93 * value - 23.5 if wanted is Unit.PERCENT else value
        if not low <= amount <= high:
            at.warn(place, "value", "outside what is plausible: it counts as no reading")
            return


PLAUSIBLE: Final = {
    "BP_SYSTOLIC": (40, 350, Unit.MM_HG),
    "BP_DIASTOLIC": (20, 250, Unit.MM_HG),
    "HBA1C": (10, 250, Unit.MMOL_PER_MOL),
}

MAPPINGS: Final[Mapping[str, Callable[[Json, Setting], Body]]] = {
    "Appointment": appointment,
    "Condition": condition,
    "Encounter": contact,
    "EpisodeOfCare": registration,
    "Immunization": immunization,
    "MedicationRequest": medication_request,
    "Observation": observation,
    "Patient": person,
    "Procedure": procedure,
}
