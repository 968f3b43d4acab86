"""The FHIR mapping: from one resource to the body of its fact.

Each function gives a body, or raises ``Nothing`` where status, codes or participants leave nothing
to count (such a version still beats earlier ones). What is wrong is noted, and what was noted
refuses the resource; a function then reads on to find the rest, and what it gives, often None, is
of no account. Status comes before codes, codes before dates: what counts for nothing needs no date.
"""

from collections.abc import Callable, Mapping
from typing import Final

from peerview_common.codes import OBJECTION, CodeList
from peerview_common.days import LONG_AGO
from peerview_common.facts import (
    NATIONAL_CATEGORIES,
    Appointment,
    AppointmentStatus,
    Body,
    Code,
    Coded,
    Component,
    GeneralPractice,
    Person,
    Registration,
    Sex,
    Unit,
)
from peerview_ingest.fhir.contacts import contact
from peerview_ingest.fhir.objection import UNDATED
from peerview_ingest.fhir.plausible import say_implausible
from peerview_ingest.fhir.resolver import practice_of
from peerview_ingest.fhir.setting import Setting
from peerview_ingest.fhir.values import (
    MAX_CODES,
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
NOBODY_STATUSES: Final = frozenset({"planned", "waitlist", "cancelled"})
RESOLVED_STATUSES: Final = frozenset({"resolved", "inactive", "remission"})
SEXES: Final = {"male": Sex.MALE, "female": Sex.FEMALE, "other": Sex.OTHER}
APPOINTMENT_STATUSES: Final = {
    status.name.lower().replace("_", "-"): status for status in AppointmentStatus
}
MAX_COMPONENTS: Final = 100
"""A panel has two or three that count."""
CATEGORY_INDEX: Final = {name: index for index, name in enumerate(NATIONAL_CATEGORIES)}


def person(resource: Json, at: Setting) -> Person:
    place, notes = at.place, at.notes
    birth = moment(resource, "birthDate", place, notes)
    died = moment(resource, "deceasedDateTime", place, notes)
    dead = flag(resource, "deceasedBoolean", place, notes)
    inactive = flag(resource, "active", place, notes) is False
    if birth is not None and birth.approximate:
        notes.warn(
            f"{place}.birthDate", "informational", "given as a month or year: first day taken"
        )
    return Person(
        birth=birth.day if birth else None,
        sex=SEXES.get(text(resource, "gender", place, notes) or "", Sex.UNKNOWN),
        died=died.day if died else LONG_AGO if dead else None,
        practice=_general_practice(resource, at),
        inactive_from=at.resolved_day(receipt=False) if inactive else None,
        birth_approximate=bool(birth and birth.approximate),
    )


def _general_practice(resource: Json, at: Setting) -> GeneralPractice:
    references = children(resource, "generalPractitioner", at.place, at.notes)
    if not references:
        return GeneralPractice.HERE if at.register_all else GeneralPractice.ABSENT
    found = GeneralPractice.ELSEWHERE
    for number, reference in enumerate(references):
        place = f"{at.place}.generalPractitioner[{number}]"
        practice = practice_of(
            reference, place, at.resolver, at.contained, at.notes, bare_identifier=False
        )
        if practice is None or practice == at.practice:
            found = GeneralPractice.HERE
    return found


def registration(resource: Json, at: Setting) -> Registration:
    place, notes = at.place, at.notes
    status = text(resource, "status", place, notes)
    if status == "entered-in-error":
        at.nothing("entered in error")
    organisation = child(resource, "managingOrganization", place, notes)
    practice = None
    if organisation is not None:
        practice = practice_of(
            organisation, f"{place}.managingOrganization", at.resolver, at.contained, notes,
            bare_identifier=True,
        )  # fmt: skip
    period = child(resource, "period", place, notes) or {}
    start = moment(period, "start", f"{place}.period", notes)
    end = moment(period, "end", f"{place}.period", notes)
    return Registration(
        here=practice in (None, at.practice) and status not in NOBODY_STATUSES,
        start=start.day if start else LONG_AGO,
        end=end.day if end else None,
    )


def condition(resource: Json, at: Setting) -> Coded | None:
    place, notes = at.place, at.notes
    verification = status_codes(resource, "verificationStatus", place, notes)
    if verification and not {"confirmed", "provisional"} & set(verification):
        at.nothing("verificationStatus is neither confirmed nor provisional")
    codes = _listed(at, child(resource, "code", place, notes), f"{place}.code")
    resolved = None
    if RESOLVED_STATUSES & set(status_codes(resource, "clinicalStatus", place, notes)):
        abated = chosen_moment(resource, "abatement", place, notes)
        resolved = abated.day if abated else at.resolved_day(receipt=True)
    when = chosen_moment(resource, "onset", place, notes)
    if when is None:
        when = moment(resource, "recordedDate", place, notes)
    return _coded(at, codes, when, "onset", resolved=resolved)


def observation(resource: Json, at: Setting) -> Coded | None:
    place, notes = at.place, at.notes
    at.need_status(resource, "final", "amended", "corrected")
    codes = _listed(at, child(resource, "code", place, notes), f"{place}.code")
    value, unit = quantity(resource, "valueQuantity", place, notes)
    components: list[Component] = []
    if _in_cluster(at.codes, codes, "BP_PANEL"):
        components = _components(resource, at)
    say_implausible(at, codes, value, unit, f"{place}.valueQuantity")
    when = chosen_moment(resource, "effective", place, notes)
    return _coded(at, codes, when, "effective", value, unit, components=tuple(components))


def _components(resource: Json, at: Setting) -> list[Component]:
    found: list[Component] = []
    for number, part in enumerate(children(resource, "component", at.place, at.notes)):
        place = f"{at.place}.component[{number}]"
        code = child(part, "code", place, at.notes)
        own = concept_codes(at.codes, code, f"{place}.code", at.notes)
        if not own:
            continue
        if len(found) == MAX_COMPONENTS:
            at.notes.fault(
                f"{at.place}.component", "too-costly", f"more than {MAX_COMPONENTS} of them count"
            )
            break
        amount, unit = quantity(part, "valueQuantity", place, at.notes)
        found.append(Component(own, amount, int(unit)))
        say_implausible(at, own, amount, unit, f"{place}.valueQuantity")
    return found


def procedure(resource: Json, at: Setting) -> Coded | None:
    at.need_status(resource, "completed")
    codes = _listed(at, child(resource, "code", at.place, at.notes), f"{at.place}.code")
    return _coded(at, codes, chosen_moment(resource, "performed", at.place, at.notes), "performed")


def immunization(resource: Json, at: Setting) -> Coded | None:
    place, notes = at.place, at.notes
    at.need_status(resource, "completed")
    vaccine = child(resource, "vaccineCode", place, notes)
    found = list(concept_codes(at.codes, vaccine, f"{place}.vaccineCode", notes))
    for number, extension in enumerate(children(resource, "extension", place, notes)):
        if extension.get("url") == VACCINATION_PROCEDURE and len(found) <= MAX_CODES:
            inner = f"{place}.extension[{number}]"
            concept = child(extension, "valueCodeableConcept", inner, notes)
            inner = f"{inner}.valueCodeableConcept"
            found.extend(concept_codes(at.codes, concept, inner, notes))
    codes = sorted_codes(found)
    if not codes:
        at.nothing("no code that a listed cluster holds")
    return _coded(at, codes, chosen_moment(resource, "occurrence", place, notes), "occurrence")


def medication_request(resource: Json, at: Setting) -> Coded | None:
    place, notes = at.place, at.notes
    status = text(resource, "status", place, notes)
    if status in ("cancelled", "draft", "entered-in-error"):
        at.nothing("not a prescription by its status")
    intent = text(resource, "intent", place, notes)
    if intent is not None and intent not in ORDERS:
        at.nothing("not an order by its intent")
    if flag(resource, "doNotPerform", place, notes):
        at.nothing("doNotPerform is true")
    concept = child(resource, "medicationCodeableConcept", place, notes)
    where = f"{place}.medicationCodeableConcept"
    reference = child(resource, "medicationReference", place, notes)
    if concept is None and reference is not None:
        where = f"{place}.medicationReference"
        pointer = text(reference, "reference", where, notes)
        medication = at.contained.get(pointer or "")
        if medication is not None and medication.get("resourceType") == "Medication":
            concept = child(medication, "code", where, notes)
        elif not notes.told(where):
            notes.fault(
                where, "not-supported", "counts only when it points to a contained Medication"
            )
    codes = _listed(at, concept, where)
    return _coded(at, codes, moment(resource, "authoredOn", place, notes), "authoredOn")


def appointment(resource: Json, at: Setting) -> Appointment | None:
    place, notes = at.place, at.notes
    word = text(resource, "status", place, notes)
    if word == "entered-in-error":
        at.nothing("entered in error")
    status = APPOINTMENT_STATUSES.get(word or "")
    if status is None:
        notes.warn(f"{place}.status", "code-invalid", "not a status of FHIR: taken as booked")
        status = AppointmentStatus.BOOKED
    start = moment(resource, "start", place, notes)
    booked = moment(resource, "created", place, notes)
    category = _category(resource, at)
    if start is None:
        at.missing("start", "an appointment needs a start")
        return None
    return Appointment(start.day, booked.day if booked else None, status, category)


def _category(resource: Json, at: Setting) -> int | None:
    for number, concept in enumerate(children(resource, "serviceType", at.place, at.notes)):
        place = f"{at.place}.serviceType[{number}]"
        found = CATEGORY_INDEX.get(text(concept, "text", place, at.notes) or "")
        if found is not None:
            return found
        for place_number, coding in enumerate(children(concept, "coding", place, at.notes)):
            code = text(coding, "code", f"{place}.coding[{place_number}]", at.notes)
            found = CATEGORY_INDEX.get(code or "")
            if found is not None:
                return found
    return None


def _listed(at: Setting, concept: Json | None, place: str) -> tuple[Code, ...]:
    codes = concept_codes(at.codes, concept, place, at.notes)
    if not codes:
        at.nothing("no code that a listed cluster holds")
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
) -> Coded | None:
    if when is None:
        dissent = tuple(code for code in codes if _in_cluster(at.codes, (code,), OBJECTION))
        if not dissent:
            at.missing(element, "has no date, so it can take no part")
            return None
        return Coded(UNDATED, 0, dissent, None, Unit.ABSENT, None, ())
    return Coded(when.day, when.elapsed, codes, value, int(unit), resolved, components)


def _in_cluster(codes: CodeList, found: tuple[Code, ...], cluster: str) -> bool:
    return any(cluster in codes.clusters_of(code) for code in found)


MAPPINGS: Final[Mapping[str, Callable[[Json, Setting], Body | None]]] = {
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
