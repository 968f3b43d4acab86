"""The FHIR mapping: from one resource to the body of its fact.

Each function gives a body, or raises ``Nothing`` where status, codes or participants leave nothing
to count (such a version still beats earlier ones). What is wrong is noted, and what was noted
refuses the resource; a function then reads on to find the rest, and what it gives, often None, is
of no account. Status comes before codes, codes before dates: what counts for nothing needs no date.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

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
from peerview_ingest.fhir import shapes
from peerview_ingest.fhir.contacts import contact
from peerview_ingest.fhir.objection import UNDATED
from peerview_ingest.fhir.plausible import say_implausible
from peerview_ingest.fhir.setting import Setting
from peerview_ingest.fhir.shaping import shaped
from peerview_ingest.fhir.times import Moment
from peerview_ingest.fhir.values import (
    MAX_CODES,
    Choice,
    child,
    chosen_moment,
    concept_codes,
    moment,
    quantity,
    sorted_codes,
    status_codes,
)

VACCINATION_PROCEDURE: Final = (
    "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-VaccinationProcedure"
)
ORDERS: Final = frozenset(
    {"order", "original-order", "reflex-order", "filler-order", "instance-order"}
)
NOBODY_STATUSES: Final = frozenset({"planned", "waitlist", "cancelled"})
CONFIRMED: Final = frozenset({"confirmed", "provisional"})
FINAL_STATUSES: Final = frozenset({"final", "amended", "corrected"})
RESOLVED_STATUSES: Final = frozenset({"resolved", "inactive", "remission"})
SEXES: Final = {"male": Sex.MALE, "female": Sex.FEMALE, "other": Sex.OTHER}
APPOINTMENT_STATUSES: Final = {
    status.name.lower().replace("_", "-"): status for status in AppointmentStatus
}
MAX_COMPONENTS: Final = 100
"""A panel has two or three that count."""
ABATEMENT: Final = Choice.of("abatement")
EFFECTIVE: Final = Choice.of("effective")
OCCURRENCE: Final = Choice.of("occurrence")
ONSET: Final = Choice.of("onset")
PERFORMED: Final = Choice.of("performed")
CATEGORY_INDEX: Final = {name: index for index, name in enumerate(NATIONAL_CATEGORIES)}


def person(found: shapes.Patient, at: Setting) -> Person:
    place, notes = at.place, at.notes
    birth = moment(found.birthDate, place, "birthDate", notes)
    died = moment(found.deceasedDateTime, place, "deceasedDateTime", notes)
    dead, inactive = found.deceasedBoolean, found.active is False
    if birth is not None and birth.approximate:
        notes.warn(
            f"{place}.birthDate", "informational", "given as a month or year: first day taken"
        )
    if found.gender and found.gender not in SEXES and found.gender != "unknown":
        reason = "not a gender of FHIR (male, female, other, unknown): taken as unknown"
        notes.warn(f"{place}.gender", "code-invalid", reason)
    return Person(
        birth.day if birth else None,
        SEXES.get(found.gender or "", Sex.UNKNOWN),
        died.day if died else LONG_AGO if dead else None,
        _general_practice(found, at),
        at.resolved_day(receipt=False) if inactive else None,
        bool(birth and birth.approximate),
    )


def _general_practice(found: shapes.Patient, at: Setting) -> GeneralPractice:
    if not found.generalPractitioner:
        at.informed = True
        return GeneralPractice.HERE if at.register_all else GeneralPractice.ABSENT
    # all of them, for what is wrong with any is to be told
    practices = {
        at.practice_of(each, f"generalPractitioner[{number}]", bare_identifier=False)
        for number, each in enumerate(found.generalPractitioner)
    }
    here = None in practices or at.practice in practices
    return GeneralPractice.HERE if here else GeneralPractice.ELSEWHERE


def registration(found: shapes.EpisodeOfCare, at: Setting) -> Registration:
    if found.status == "entered-in-error":
        at.nothing("entered in error")
    practice = start = end = None
    if found.managingOrganization is not None:
        reference = found.managingOrganization
        practice = at.practice_of(reference, "managingOrganization", bare_identifier=True)
    if found.period is not None:
        start = moment(found.period.start, at.place, "period.start", at.notes)
        end = moment(found.period.end, at.place, "period.end", at.notes)
    if found.status in NOBODY_STATUSES:
        at.informed = False
    if start and end and end.day < start.day:
        reason = "ends before it starts: it registers nobody"
        at.notes.warn(f"{at.place}.period", "value", reason)
    return Registration(
        practice in (None, at.practice) and found.status not in NOBODY_STATUSES,
        start.day if start else LONG_AGO,
        end.day if end else None,
    )


def condition(found: shapes.Condition, at: Setting) -> Coded | None:
    place, notes = at.place, at.notes
    verification = status_codes(found.verificationStatus)
    if verification and CONFIRMED.isdisjoint(verification):
        at.nothing("verificationStatus is neither confirmed nor provisional")
    codes = _listed(at, found.code, "code")
    resolved = None
    if not RESOLVED_STATUSES.isdisjoint(status_codes(found.clinicalStatus)):
        abated = chosen_moment(found, ABATEMENT, place, notes)
        resolved = abated.day if abated else at.resolved_day(receipt=True)
    when = chosen_moment(found, ONSET, place, notes)
    if when is None:
        when = moment(found.recordedDate, place, "recordedDate", notes)
    return _coded(at, codes, when, "onset", resolved=resolved)


def observation(found: shapes.Observation, at: Setting) -> Coded | None:
    place, notes = at.place, at.notes
    if found.status not in FINAL_STATUSES:
        at.nothing("status is not final or amended or corrected")
    codes = _listed(at, found.code, "code")
    value, unit = quantity(found.valueQuantity)
    components: tuple[Component, ...] = ()
    if _in_cluster(at.codes, codes, "BP_PANEL") and found.component:
        components = _components(found.component, at)
    if value is not None or not components:  # a panel has its numbers in its components
        say_implausible(at, codes, value, unit, "valueQuantity")
    when = chosen_moment(found, EFFECTIVE, place, notes)
    return _coded(at, codes, when, "effective", value, unit, components=components)


def _components(given: list[shapes.Component], at: Setting) -> tuple[Component, ...]:
    found: list[Component] = []
    for number, part in enumerate(given):
        own = concept_codes(at.codes, part.code, at.place, f"component[{number}].code", at.notes)
        if not own:
            continue
        if len(found) == MAX_COMPONENTS:
            reason = f"more than {MAX_COMPONENTS} of them count"
            at.notes.fault(f"{at.place}.component", "too-costly", reason)
            break
        amount, unit = quantity(part.valueQuantity)
        found.append(Component(own, amount, int(unit)))
        say_implausible(at, own, amount, unit, f"component[{number}].valueQuantity")
    return tuple(found)


def procedure(found: shapes.Procedure, at: Setting) -> Coded | None:
    _need_completed(found.status, at)
    codes = _listed(at, found.code, "code")
    when = chosen_moment(found, PERFORMED, at.place, at.notes)
    return _coded(at, codes, when, "performed")


def immunization(found: shapes.Immunization, at: Setting) -> Coded | None:
    place, notes = at.place, at.notes
    _need_completed(found.status, at)
    listed = list(concept_codes(at.codes, found.vaccineCode, place, "vaccineCode", notes))
    for number, extension in enumerate(found.extension or ()):
        if extension.url == VACCINATION_PROCEDURE and len(listed) <= MAX_CODES:
            inner = f"extension[{number}].valueCodeableConcept"
            concept = extension.valueCodeableConcept
            listed.extend(concept_codes(at.codes, concept, place, inner, notes))
    codes = sorted_codes(listed)
    if not codes:
        at.nothing("no code that a listed cluster holds")
    when = chosen_moment(found, OCCURRENCE, place, notes)
    return _coded(at, codes, when, "occurrence")


def medication_request(found: shapes.MedicationRequest, at: Setting) -> Coded | None:
    if found.status in ("cancelled", "draft", "entered-in-error"):
        at.nothing("not a prescription by its status")
    if found.intent and found.intent not in ORDERS:
        at.nothing("not an order by its intent")
    if found.doNotPerform:
        at.nothing("doNotPerform is true")
    concept, name = found.medicationCodeableConcept, "medicationCodeableConcept"
    reference = found.medicationReference
    if concept is None and reference is not None:
        concept, name = _contained_medication(reference, at), "medicationReference"
    codes = _listed(at, concept, name)
    return _coded(at, codes, moment(found.authoredOn, at.place, "authoredOn", at.notes),
                  "authoredOn")  # fmt: skip


def _contained_medication(reference: shapes.Reference, at: Setting) -> shapes.Concept | None:
    place = f"{at.place}.medicationReference"
    medication = at.contained(reference.reference or "")
    if medication is not None and medication.get("resourceType") == "Medication":
        code = child(medication, "code", place, at.notes)
        return None if code is None else shaped(code, shapes.Concept, place, at.notes)
    if not at.notes.told(place):
        at.notes.fault(
            place,
            "not-supported",
            "counts only when it points to a contained Medication: contain it, or send "
            "medicationCodeableConcept",
        )
    return None


def appointment(found: shapes.Appointment, at: Setting) -> Appointment | None:
    place, notes = at.place, at.notes
    if found.status == "entered-in-error":
        at.nothing("entered in error")
    status = APPOINTMENT_STATUSES.get(found.status or "")
    if status is None:
        notes.warn(f"{place}.status", "code-invalid", "not a status of FHIR: taken as booked")
        status = AppointmentStatus.BOOKED
    start = moment(found.start, place, "start", notes)
    booked = moment(found.created, place, "created", notes)
    category = _category(found)
    if start is None:
        at.missing("start", "an appointment needs a start")
        return None
    return Appointment(start.day, booked.day if booked else None, status, category)


def _category(found: shapes.Appointment) -> int | None:
    for concept in found.serviceType or ():
        if concept.text in CATEGORY_INDEX:
            return CATEGORY_INDEX[concept.text]
        for coding in concept.coding or ():
            if coding.code in CATEGORY_INDEX:
                return CATEGORY_INDEX[coding.code]
    return None


def _need_completed(status: str | None, at: Setting) -> None:
    if status != "completed":
        at.nothing("status is not completed")


def _listed(at: Setting, concept: shapes.Concept | None, name: str) -> tuple[Code, ...]:
    codes = concept_codes(at.codes, concept, at.place, name, at.notes)
    if not codes:
        at.nothing("no code that a listed cluster holds")
    return codes


def _coded(
    at: Setting,
    codes: tuple[Code, ...],
    when: Moment | None,
    element: str,
    value: int | float | None = None,
    unit: int = Unit.ABSENT,
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


class Mapping(NamedTuple):
    """What is read of a type, and the body that comes of that."""

    shape: type[shapes.Resource]
    body: Callable[[Any, Setting], Body | None]


MAPPINGS: Final[dict[str, Mapping]] = {
    "Appointment": Mapping(shapes.Appointment, appointment),
    "Condition": Mapping(shapes.Condition, condition),
    "Encounter": Mapping(shapes.Encounter, contact),
    "EpisodeOfCare": Mapping(shapes.EpisodeOfCare, registration),
    "Immunization": Mapping(shapes.Immunization, immunization),
    "MedicationRequest": Mapping(shapes.MedicationRequest, medication_request),
    "Observation": Mapping(shapes.Observation, observation),
    "Patient": Mapping(shapes.Patient, person),
    "Procedure": Mapping(shapes.Procedure, procedure),
}
