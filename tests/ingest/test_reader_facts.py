"""The FHIR mapping, sentence by sentence: what becomes which fact."""

import pytest

from peerview_common.days import LONG_AGO
from peerview_common.facts import (
    AppointmentStatus,
    Component,
    GeneralPractice,
    ResourceType,
    Sex,
    Unit,
)
from peerview_ingest.fhir import Outcome
from tests.ingest.builders import (
    CLUSTER,
    HYPERTENSION,
    ODS,
    RXNORM,
    SNOMED,
    Json,
    appointment,
    body,
    bundle,
    collected,
    concept,
    condition,
    day,
    dissent,
    encounter,
    episode,
    meta,
    observation,
    participant,
    patient,
    prescription,
    read,
    reader,
    refusal,
    resource,
    void,
)

LOINC = "http://loinc.org"


# -- person


def test_a_person() -> None:
    found = body(patient(birthDate="1960-05", gender="female", deceasedDateTime="2025-12-31"))
    assert (found.birth, found.birth_approximate) == (day("1960-05-01"), True)
    assert (found.sex, found.died) == (Sex.FEMALE, day("2025-12-31"))


def test_dead_without_a_date_is_dead_at_every_day() -> None:
    assert body(patient(deceasedBoolean=True)).died == LONG_AGO
    assert body(patient(deceasedBoolean=False)).died is None


def test_inactive_ends_at_last_updated_or_long_ago() -> None:
    at = meta("2026-02-01T23:30:00Z")
    assert body(patient(active=False, meta=at)).inactive_from == day("2026-02-01")
    assert body(patient(active=False)).inactive_from == LONG_AGO
    assert body(patient(active=True, meta=at)).inactive_from is None


ELSEWHERE: Json = {"identifier": {"system": ODS, "value": "A99902"}}


@pytest.mark.parametrize(
    ("references", "expected"),
    [
        (None, GeneralPractice.ABSENT),
        ([], GeneralPractice.ABSENT),
        ([{"display": "Dr X"}], GeneralPractice.HERE),
        ([{"reference": "Practitioner/1"}], GeneralPractice.HERE),
        ([{"identifier": {"system": ODS, "value": "A99001"}}], GeneralPractice.HERE),
        ([ELSEWHERE], GeneralPractice.ELSEWHERE),
        ([{"identifier": {"value": "A99902"}}], GeneralPractice.HERE),
        ([{"reference": "Organization/A99001"}], GeneralPractice.HERE),
        ([{"reference": "https://x/Organization/A99902"}], GeneralPractice.ELSEWHERE),
        ([{"reference": "Organization?identifier=x|A99902"}], GeneralPractice.HERE),
        ([ELSEWHERE, {"reference": "Practitioner/1"}], GeneralPractice.HERE),
    ],
)
def test_general_practitioner(references: object, expected: GeneralPractice) -> None:
    assert body(patient(generalPractitioner=references)).practice == expected


def test_register_all_is_for_patients_without_a_practice() -> None:
    assert body(patient(), register_all=True).practice == GeneralPractice.HERE
    there = body(patient(generalPractitioner=[ELSEWHERE]), register_all=True)
    assert there.practice == GeneralPractice.ELSEWHERE


# -- registration


@pytest.mark.parametrize(
    ("organisation", "here"),
    [
        (None, True),
        ({"display": "X"}, True),
        ({"identifier": {"system": ODS, "value": "A99001"}}, True),
        ({"identifier": {"value": "A99001"}}, True),
        ({"identifier": {"value": "A99902"}}, False),
        ({"identifier": {"system": ODS, "value": "A99902"}}, False),
        ({"identifier": {"system": "other", "value": "A99902"}}, True),
        ({"reference": "Organization/A99902"}, False),
        ({"reference": "Organization?identifier=x|A99902"}, True),
        ({"reference": f"Organization?identifier={ODS}|A99902"}, False),
        ({"reference": f"https://gp.example/Organization?identifier={ODS}%7CA99902"}, False),
        ({"reference": f"Organization?identifier={ODS}|A99001"}, True),
        ({"reference": f"Location?identifier={ODS}|A99902"}, True),
        ({"reference": "Organization/A99902/_history/3"}, False),
        ({"reference": "urn:uuid:unknown"}, True),
    ],
)
def test_the_practice_of_an_episode(organisation: Json | None, here: bool) -> None:
    assert body(episode(managingOrganization=organisation)).here is here


def test_a_referenced_organisation_says_its_ods_code() -> None:
    def organisation(code: str) -> Json:
        return {
            "resourceType": "Organization",
            "id": "o",
            "identifier": [{"system": ODS, "value": code}],
        }

    def here(reference: str, *given: Json, **rest: object) -> bool:
        own = episode(managingOrganization={"reference": reference}, **rest)
        return reader().read(bundle(*given, own))[-1].fact.body.here  # type: ignore[union-attr]

    assert here("Organization/o", organisation("A99001"))
    assert not here("Organization/o", organisation("A99902"))
    entry = {"fullUrl": "urn:uuid:9", "resource": organisation("A99902")}
    assert not here("urn:uuid:9", entry)
    assert not here("#o", contained=[organisation("A99902")])
    assert here("#o", contained=[organisation("A99001")])
    apart = collected(
        organisation("A99001"), episode(managingOrganization={"reference": "Organization/o"})
    )
    assert apart.patients["p1"][0].body.here  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (episode(managingOrganization={"reference": "Organization/4711"}), "managingOrganization"),
        (episode(period={"start": "2026-05-01", "end": "2026-04-30"}), "period"),
        (patient(gender="F"), "gender"),
        (
            patient(generalPractitioner=[ELSEWHERE, {"reference": "Organization/4711"}]),
            "generalPractitioner[1]",
        ),
        (observation(valueQuantity={"value": "138", "unit": "mmHg"}), "valueQuantity"),
        (observation(valueQuantity=None), "valueQuantity"),
    ],
)
def test_what_counts_otherwise_than_meant_is_warned_of(document: Json, place: str) -> None:
    (issue,) = read(document).issues
    assert (issue.severity, issue.expression) == ("warning", f"{document['resourceType']}.{place}")


@pytest.mark.parametrize("code", ["A99001", "A99902", "RX1"])
def test_an_organisation_that_is_named_by_its_ods_code_need_not_come(code: str) -> None:
    named = episode(managingOrganization={"reference": f"Organization/{code}"})
    assert read(named).issues == ()


@pytest.mark.parametrize("status", ["planned", "waitlist", "cancelled"])
def test_some_episodes_register_nobody_but_are_there(status: str) -> None:
    assert body(episode(status=status)).here is False


def test_an_episode_in_error_is_not_there_and_an_unknown_start_is_long_ago() -> None:
    void(episode(status="entered-in-error"))
    found = body(episode(period={"end": "2026-01-01"}))
    assert (found.start, found.end) == (LONG_AGO, day("2026-01-01"))


# -- coded facts


def test_choice_types_and_recorded_date() -> None:
    def when(**dates: object) -> int:
        return int(body(condition(**{"onsetDateTime": None, **dates})).day)

    assert when(onsetPeriod={"start": "2019-01-01"}) == day("2019-01-01")
    assert when(recordedDate="2018-01-01") == day("2018-01-01")
    assert when(onsetAge={"value": 3}, recordedDate="2018-01-01") == day("2018-01-01")
    assert when(onsetPeriod={"end": "2019-01-01"}, recordedDate="2018") == day("2018-01-01")
    late = observation(effectiveDateTime=None, effectiveInstant="2026-03-01T00:00:00Z")
    assert body(late).day == day("2026-03-01")
    assert refusal(observation(effectiveDateTime=None, issued="2026-01-01T00:00:00Z"))


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        (None, True),
        ({"text": "Refuted"}, True),
        (concept("confirmed"), True),
        (concept("provisional"), True),
        ({"coding": [{"code": "refuted"}, {"code": "confirmed"}]}, True),
        (concept("refuted"), False),
        (concept("unconfirmed"), False),
        (concept("entered-in-error"), False),
    ],
)
def test_verification(status: Json | None, counts: bool) -> None:
    found = read(condition(verificationStatus=status))
    assert (found.outcome is Outcome.ACCEPTED) is counts


@pytest.mark.parametrize("word", ["resolved", "inactive", "remission"])
def test_a_resolved_condition_is_dated_by_abatement_else_last_updated(word: str) -> None:
    resolved = condition(
        clinicalStatus=concept(word), meta=meta("2026-03-05T00:00:00Z"), abatementAge={"value": 1}
    )
    assert body(resolved).resolved == day("2026-03-05")
    assert body({**resolved, "abatementDateTime": "2025-01-01"}).resolved == day("2025-01-01")
    assert body({**resolved, "clinicalStatus": {"text": word}}).resolved is None
    assert body({**resolved, "meta": {}}, None).resolved == LONG_AGO
    assert body({**resolved, "meta": {}}).resolved == day("2026-05-28")


@pytest.mark.parametrize("status", ["preliminary", "registered", "cancelled", "entered-in-error"])
def test_observations_of_other_statuses_count_nothing(status: str) -> None:
    void(observation(status=status))


def test_dmd_and_snomed_are_one_space_and_all_else_is_text() -> None:
    assert body(condition(code=concept(HYPERTENSION, "https://dmd.nhs.uk"))).codes == (38341003,)
    void(condition(code=concept(HYPERTENSION, "http://snomed.info/sct/")))
    void(condition(code=concept(HYPERTENSION + " ")))


def test_a_bnf_code_is_kept_as_its_listed_prefix() -> None:
    bnf = prescription(medicationCodeableConcept=concept("0501013K0AAAJAJ", "https://BNF.example"))
    assert body(bnf).codes == ("bnf:0501013K0",)


def test_codes_are_listed_ones_sorted_and_once() -> None:
    several = {
        "coding": [
            {"system": LOINC, "code": "8480-6"},
            {"system": SNOMED, "code": HYPERTENSION},
            {"system": SNOMED, "code": HYPERTENSION},
            {"system": SNOMED, "code": "1"},
        ]
    }
    assert body(observation(code=several)).codes == (38341003, f"{LOINC}|8480-6")


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ({"value": 140.0, "code": "mm[Hg]"}, (140, Unit.MM_HG)),
        ({"value": 140.5, "unit": "mmHg"}, (140.5, Unit.MM_HG)),
        ({"value": 140, "code": "kPa", "unit": "mmHg"}, (140, Unit.OTHER)),
        ({"value": 140}, (140, Unit.ABSENT)),
        ({"value": "140", "unit": "mm Hg"}, (None, Unit.MM_HG)),
        ({"value": True}, (None, Unit.ABSENT)),
        (None, (None, Unit.ABSENT)),
    ],
)
def test_quantities(quantity: Json | None, expected: tuple[object, Unit]) -> None:
    found = body(observation(valueQuantity=quantity))
    assert (found.value, found.unit) == expected


def test_what_is_not_plausible_is_said() -> None:
    (issue,) = read(observation(valueQuantity={"value": 351})).issues
    assert (issue.severity, issue.expression) == ("warning", "Observation.valueQuantity")
    assert read(observation(valueQuantity={"value": 350})).issues == ()
    assert read(observation(valueQuantity={"value": 138, "unit": "kPa"})).issues


def test_components_are_read_only_of_a_panel() -> None:
    parts = [
        {"code": concept("8480-6", LOINC), "valueQuantity": {"value": 138, "code": "mm[Hg]"}},
        {"code": concept("8462-4", LOINC), "valueQuantity": {"value": 80}},
        {"code": concept("999999", LOINC), "valueQuantity": {"value": 1}},
    ]
    panel = observation(code=concept("85354-9", LOINC), component=parts, valueQuantity=None)
    assert body(panel).components == (
        Component((f"{LOINC}|8480-6",), 138, Unit.MM_HG),
        Component((f"{LOINC}|8462-4",), 80, Unit.ABSENT),
    )
    assert body(observation(component=parts)).components == ()


def test_procedures_count_when_completed() -> None:
    done = resource(
        "Procedure",
        status="completed",
        code=concept("CSPCADEC_COD", CLUSTER),
        performedPeriod={"start": "2026-01-02"},
    )
    assert body(done).day == day("2026-01-02")
    void({**done, "status": "in-progress"})


def test_immunizations_are_read_by_vaccine_and_by_procedure() -> None:
    url = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-VaccinationProcedure"
    shot = resource(
        "Immunization",
        status="completed",
        occurrenceDateTime="2026-01-02",
        vaccineCode=concept("03", "http://hl7.org/fhir/sid/cvx"),
        extension=[{"url": url, "valueCodeableConcept": concept("38598009")}],
    )
    assert body(shot).codes == (38598009, "http://hl7.org/fhir/sid/cvx|03")
    assert body({**shot, "vaccineCode": {"text": "?"}}).codes == (38598009,)
    assert body({**shot, "extension": [{"url": url}]}).codes == ("http://hl7.org/fhir/sid/cvx|03",)
    void({**shot, "status": "not-done"})
    assert refusal({**shot, "occurrenceDateTime": None, "occurrenceString": "once"})


# -- prescriptions


@pytest.mark.parametrize(
    "changed",
    [
        {"status": "cancelled"},
        {"status": "draft"},
        {"status": "entered-in-error"},
        {"intent": "plan"},
        {"intent": "proposal"},
        {"intent": "option"},
        {"doNotPerform": True},
    ],
)
def test_what_is_no_prescription(changed: Json) -> None:
    void(prescription(**changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"status": "stopped"},
        {"status": None},
        {"intent": None},
        {"intent": "reflex-order"},
        {"intent": "filler-order"},
        {"intent": "instance-order"},
        {"intent": "original-order"},
        {"doNotPerform": False},
    ],
)
def test_what_is_a_prescription(changed: Json) -> None:
    assert body(prescription(**changed)).codes == (f"{RXNORM}|562251",)


def test_a_medication_by_reference_counts_only_when_it_is_contained() -> None:
    inside = prescription(
        medicationCodeableConcept=None,
        medicationReference={"reference": "#m"},
        contained=[{"resourceType": "Medication", "id": "m", "code": concept("562251", RXNORM)}],
    )
    assert body(inside).codes == (f"{RXNORM}|562251",)
    void({**inside, "contained": [{"resourceType": "Medication", "id": "m"}]})
    outside = {**inside, "medicationReference": {"reference": "Medication/m"}}
    assert refusal(outside) == ("MedicationRequest.medicationReference", "not-supported")
    found = read(outside, None)
    assert found.fact is not None
    assert found.fact.body is None


# -- appointments


def test_an_appointment_counts_once_for_every_patient_known_or_not() -> None:
    found = read(
        appointment("a1", "Patient/p1", "https://x/Patient/p2", "Patient/p1", "Practitioner/g")
    )
    assert found.patients == (b"p1", b"p2")
    assert found.fact is not None
    assert found.fact.body.category == 5  # type: ignore[union-attr]


def test_with_no_patient_it_counts_for_nobody() -> None:
    assert void(appointment("a1", "Practitioner/g")).patients == ()
    assert void(appointment("a1", "Patient?identifier=x|1")).patients == ()
    assert void(appointment("a1", "urn:uuid:unknown")).patients == ()


def test_the_category_is_text_or_code_exactly_and_never_display() -> None:
    def category(kind: Json) -> int | None:
        found: int | None = body(appointment(serviceType=[{"text": "x"}, kind])).category
        return found

    assert category({"coding": [{"code": "Walk-in"}]}) == 4
    assert category({"text": "Walk-In"}) is None
    assert category({"coding": [{"display": "Walk-in"}]}) is None


def test_appointment_days_are_local_and_statuses_are_kept() -> None:
    found = body(
        appointment(start="2026-07-01T23:30:00Z", created="2026-06-30T10:00:00Z", status="noshow")
    )
    assert (found.day, found.booked) == (day("2026-07-02"), day("2026-06-30"))
    assert found.status == AppointmentStatus.NOSHOW
    assert body(appointment(created=None)).booked is None
    assert body(appointment(status="checked-in")).status == AppointmentStatus.CHECKED_IN
    void(appointment(status="entered-in-error"))
    assert refusal(appointment(start=None)) == ("Appointment.start", "required")


# -- contacts


def gp_of(*participants: Json, **rest: object) -> bytes:
    found: bytes = body(encounter(participant=list(participants), **rest)).gp
    return found


GP1, GP2 = participant("Practitioner/gp1"), participant("Practitioner/gp2")


@pytest.mark.parametrize("word", ["EMER", "IMP", "ACUTE", "NONAC"])
def test_some_classes_are_no_gp_contacts(word: str) -> None:
    void(encounter(**{"class": {"code": word}}))


def test_the_first_primary_performer_with_an_identity_is_the_gp() -> None:
    other = participant("Practitioner/gp2", "ATND")
    assert gp_of(other, GP1) == gp_of(GP1)
    assert gp_of(participant(display="Dr X"), GP1) == gp_of(GP1)
    assert gp_of(GP1, GP2) == gp_of(GP1) != gp_of(GP2)


def test_else_the_first_with_an_identity_where_the_class_is_ambulatory() -> None:
    other = participant("Practitioner/gp2", None)
    assert gp_of(other) == gp_of(GP2)
    void(encounter(participant=[other], **{"class": None}))
    void(encounter(participant=[other], **{"class": {"code": "VR"}}))
    assert gp_of(GP1, **{"class": None}) == gp_of(GP1, **{"class": {"code": "VR"}}) == gp_of(GP1)


def test_a_gp_is_the_reference_character_for_character() -> None:
    forms = {
        gp_of(participant(reference))
        for reference in (
            "Practitioner/gp1",
            "https://x/fhir/Practitioner/gp1",
            "Practitioner?identifier=s|gp1",
        )
    }
    assert len(forms) == 3
    identified = participant(identifier={"system": "s", "value": "gp1"})
    assert gp_of(identified) not in forms
    both = participant("Practitioner/gp1", identifier={"system": "s", "value": "gp1"})
    assert gp_of(both) == gp_of(GP1)


def test_roles_relatives_and_names_are_no_gp() -> None:
    identifier = {"system": "s", "value": "1"}
    for individual in (
        participant("PractitionerRole/1", identifier=identifier),
        participant("https://x/PractitionerRole/1", identifier=identifier),
        participant("RelatedPerson/1", identifier=identifier),
        participant(type="PractitionerRole", identifier=identifier),
        participant(display="Dr X"),
        participant(identifier={"system": "s"}),
    ):
        void(encounter(participant=[individual]))


def test_a_urn_is_a_gp_when_it_resolves_to_one() -> None:
    def outcome(kind: str, **individual: object) -> Outcome:
        entry = {"fullUrl": "urn:uuid:9", "resource": {"resourceType": kind, "id": "x"}}
        own = encounter(participant=[participant("urn:uuid:9", **individual)])
        return reader().read(bundle(entry, own))[-1].outcome

    identifier = {"system": "s", "value": "1"}
    assert outcome("Practitioner") is Outcome.ACCEPTED
    assert outcome("PractitionerRole", identifier=identifier) is Outcome.DROPPED
    void(encounter(participant=[participant("urn:uuid:9")]))
    assert gp_of(participant("urn:uuid:9", identifier=identifier)) == gp_of(
        participant(identifier=identifier)
    )


def test_unfinished_and_undated_encounters() -> None:
    void(encounter(status="in-progress"))
    assert refusal(encounter(period={"end": "2026-01-01"})) == (
        "Encounter.period.start",
        "required",
    )


# -- references to a patient


@pytest.mark.parametrize(
    "reference", ["Patient/p1", "https://x/fhir/Patient/p1", "urn:uuid:1", "urn:uuid:p1"]
)
def test_forms_of_a_reference_to_a_patient_are_one(reference: str) -> None:
    entry = {"fullUrl": "urn:uuid:1", "resource": patient()}
    own = condition(subject={"reference": reference})
    assert reader().read(bundle(entry, own))[1].patients == (b"p1",)
    assert reader().read(bundle(own, entry))[0].patients == (b"p1",)


@pytest.mark.parametrize(
    "subject",
    [
        None,
        {"display": "X"},
        {"reference": "Patient?identifier=s|1"},
        {"reference": "Group/1"},
        {"reference": "Patient/"},
        {"identifier": {"value": "1"}},
    ],
)
def test_what_points_to_nobody_is_refused(subject: Json | None) -> None:
    assert refusal(condition(subject=subject)) == ("Condition.subject", "required")


def test_a_patient_without_an_id_is_found_by_the_entry() -> None:
    unnamed = patient(identifier=[{"system": "s", "value": "1"}])
    del unnamed["id"]
    entry = {"fullUrl": "urn:uuid:1", "resource": unnamed}
    own = condition(subject={"reference": "urn:uuid:1"})
    first, second = reader().read(bundle(entry, own))
    assert first.patients == second.patients == (b"s|1",)


# -- type 1 objection


@pytest.mark.parametrize(
    ("words", "counted"),
    [
        ([], True),
        ([dissent()], False),
        ([dissent(day="2030-01-01")], False),
        ([dissent(day=None)], False),
        ([dissent(), dissent("w", "2024-01-02", "TYPE1WITHDRAWN_COD")], True),
        ([dissent(), dissent("w", "2024-01-01", "TYPE1WITHDRAWN_COD")], False),
        ([dissent(day=None), dissent("w", "2026-01-02", "TYPE1WITHDRAWN_COD")], False),
        (
            [
                dissent(),
                dissent("w", "2024-01-02", "TYPE1WITHDRAWN_COD"),
                dissent("d2", "2024-01-03"),
            ],
            False,
        ),
    ],
)
def test_objection(words: list[Json], counted: bool) -> None:
    found = collected(patient(), appointment(), *words)
    assert ("p1" in found.patients) is counted
    assert found.objected == (not counted)


def test_an_undated_dissent_stands_until_it_is_deleted() -> None:
    undated = dissent(day=None)
    assert read(undated).outcome is Outcome.ACCEPTED
    gone = bundle({"request": {"method": "DELETE", "url": "Observation/d1"}})
    assert "p1" in collected(patient(), undated, gone).patients


def test_two_ids_are_two_patients() -> None:
    number = [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9434765919"}]
    found = collected(patient("p1", identifier=number), patient("p2", identifier=number))
    assert set(found.patients) == {"p1", "p2"}
    assert {fact.type for facts in found.patients.values() for fact in facts} == {
        ResourceType.PATIENT
    }
