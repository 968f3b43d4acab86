"""What is wrong with a resource is told, all of it, by place; and never more than can be read."""

from typing import Any

import pytest

from peerview_ingest.fhir import Outcome, Read
from peerview_ingest.fhir.issues import MAX_ISSUES, MORE, Notes
from peerview_ingest.fhir.reader import MAX_ENTRIES
from tests.ingest.builders import (
    NHS,
    ODS,
    Json,
    appointment,
    bundle,
    concept,
    condition,
    deletion,
    encounter,
    episode,
    meta,
    observation,
    patient,
    prescription,
    read,
    reader,
    resource,
)

LOINC = "http://loinc.org"


def faults(document: Json) -> set[str]:
    """Places of everything that is wrong with the last resource of a document."""
    found = reader().read(document)[-1]
    assert found.outcome is Outcome.REJECTED
    assert found.fact is None
    places = [issue.expression for issue in found.issues if issue.severity == "error"]
    assert len(places) == len(set(places)), "each place once"
    return set(places)


EVERYTHING_WRONG: dict[str, tuple[Json, set[str]]] = {
    "Patient": (
        patient(
            birthDate="1960-02-30",
            gender=1,
            deceasedDateTime="soon",
            deceasedBoolean="yes",
            active="no",
            identifier=[{"system": NHS, "value": 9}, 7],
            generalPractitioner=[{"reference": 1}, {"identifier": {"system": ODS, "value": []}}],
            meta=meta("yesterday"),
        ),
        {
            "birthDate",
            "gender",
            "deceasedDateTime",
            "deceasedBoolean",
            "active",
            "identifier[0].value",
            "identifier[1]",
            "generalPractitioner[0].reference",
            "generalPractitioner[1].identifier.value",
            "meta.lastUpdated",
        },
    ),
    "EpisodeOfCare": (
        episode(
            patient="Patient/p1",
            managingOrganization=[],
            period={"start": "2015-13-01", "end": 2016},
        ),
        {"patient", "managingOrganization", "period.start", "period.end"},
    ),
    "Condition": (
        condition(
            subject={"reference": 5},
            clinicalStatus={"coding": [{"code": 5}]},
            verificationStatus=[],
            onsetPeriod={"start": "x"},
            onsetDateTime=None,
            recordedDate="y",
            meta="new",
        ),
        {
            "subject.reference",
            "clinicalStatus.coding[0].code",
            "verificationStatus",
            "onsetPeriod.start",
            "recordedDate",
            "meta",
        },
    ),
    "Observation": (
        observation(
            code=concept("85354-9", LOINC),
            subject=None,
            effectiveDateTime="2026-02-29",
            valueQuantity="138",
            component=[
                {"code": concept("8480-6", LOINC), "valueQuantity": {"value": 1, "code": 2}},
                5,
                {"code": {"coding": [{"system": LOINC, "code": ["8462-4"]}]}},
            ],
        ),
        {
            "subject",
            "effectiveDateTime",
            "valueQuantity",
            "component[0].valueQuantity.code",
            "component[1]",
            "component[2].code.coding[0].code",
        },
    ),
    "MedicationRequest": (
        prescription(
            status=["active"],
            doNotPerform="false",
            medicationCodeableConcept=None,
            medicationReference={"reference": "Medication/1"},
            authoredOn="2026-1-2",
            subject={"reference": "Medication/1"},
        ),
        {"status", "doNotPerform", "medicationReference", "authoredOn", "subject"},
    ),
    "Immunization": (
        resource(
            "Immunization",
            patient=None,
            status=1,
            vaccineCode={"coding": {}},
            occurrenceDateTime="2026-01-02T25:00:00Z",
        ),
        {"patient", "status", "vaccineCode.coding", "occurrenceDateTime"},
    ),
    "Appointment": (
        appointment(
            start="2026-01-12T09:00:00+25:00",
            created={},
            serviceType=[{"text": 1, "coding": [{"code": {}}]}],
            participant=[{"actor": "Patient/p1"}, {"actor": {"reference": True}}],
        ),
        {
            "start",
            "created",
            "serviceType[0].text",
            "serviceType[0].coding[0].code",
            "participant[0].actor",
            "participant[1].actor.reference",
        },
    ),
    "Encounter": (
        encounter(
            status=None,
            period=None,
            participant=[
                {"individual": {"identifier": {"value": 4}, "reference": 3}, "type": "PPRF"}
            ],
            **{"class": "AMB"},
        )
        | {"status": 1},
        {
            "status",
            "class",
            "period.start",
            "participant[0].individual.reference",
            "participant[0].individual.identifier.value",
        },
    ),
    "Procedure": (
        resource("Procedure", status="completed", code=concept("1") | {"coding": [None]}),
        {"code.coding[0]", "performed"},
    ),
}


@pytest.mark.parametrize("kind", EVERYTHING_WRONG)
def test_every_fault_is_told_and_where_it_is(kind: str) -> None:
    document, places = EVERYTHING_WRONG[kind]
    assert faults(document) == {f"{kind}.{place}" for place in places}
    at = "Bundle.entry[1].resource"
    assert faults(bundle(patient(), document)) == {f"{at}.{place}" for place in places}


def test_every_mapped_type_has_its_faults_tested() -> None:
    from peerview_ingest.fhir.bodies import MAPPINGS

    assert set(EVERYTHING_WRONG) == set(MAPPINGS)


def test_what_counts_for_nothing_needs_no_date_but_what_is_wrong_with_it_is_told() -> None:
    nothing = observation(status="cancelled", effectiveDateTime=None)
    assert read(nothing).outcome is Outcome.DROPPED
    assert faults(observation(status="cancelled", meta={"lastUpdated": "x"})) == {
        "Observation.meta.lastUpdated"
    }


def test_a_thing_that_is_there_and_wrong_is_not_also_missing() -> None:
    assert faults(condition(onsetDateTime="x")) == {"Condition.onsetDateTime"}
    assert faults(appointment(start="x")) == {"Appointment.start"}
    assert faults(condition(id_text=7)) == {"Condition.id"}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("subject", "word"),
    [
        (None, "an identifier or a display alone is not enough"),
        ({"identifier": {"system": NHS, "value": "1"}}, "an identifier or a display alone"),
        ({"reference": "Patient?identifier=s|1"}, "conditional"),
        ({"reference": "#p"}, "contained"),
        ({"reference": "Group/1"}, "another type"),
        ({"reference": "Patient/"}, "Patient/ID"),
    ],
)
def test_a_reference_to_nobody_is_refused_by_its_form(subject: Json | None, word: str) -> None:
    (issue,) = read(condition(subject=subject)).issues
    assert word in issue.diagnostics


@pytest.mark.parametrize("base", ["", "https://gp.example/fhir/"])
def test_a_reference_to_one_version_of_a_patient_is_one_to_the_patient(base: str) -> None:
    found = read(condition(subject={"reference": f"{base}Patient/p1/_history/3"}))
    assert (found.outcome, found.patients) == (Outcome.ACCEPTED, (b"p1",))


# -- bounds: what is said, kept and looked at does not grow with what was sent


def test_of_very_many_faults_the_first_are_told_and_that_there_are_more() -> None:
    found = read(patient(generalPractitioner=[{"reference": 1}] * 10_000))
    assert len(found.issues) == MAX_ISSUES + 1
    assert found.issues[-1].diagnostics == MORE
    assert found.issues[-1].severity == "error"


def test_a_fault_after_very_many_warnings_still_shows() -> None:
    notes = Notes("Observation")
    for number in range(MAX_ISSUES + 5):
        notes.warn(f"Observation.component[{number}]", "value", "odd")
    assert notes.issues[-1].severity == "warning"
    notes.fault("Observation.effectiveDateTime", "value", "wrong")
    assert notes.issues[-1].severity == "error"
    assert len(notes.issues) == MAX_ISSUES + 1


def test_a_fact_cannot_be_made_larger_than_any_is() -> None:
    part = {"code": concept("8480-6", LOINC), "valueQuantity": {"value": 120}}
    panel = observation(code=concept("85354-9", LOINC), component=[part] * 101)
    assert faults(panel) == {"Observation.component"}
    many = {"coding": [{"system": "x", "code": "y"}] * 10_000 + concept("8480-6", LOINC)["coding"]}
    assert read(observation(code=many)).outcome is Outcome.ACCEPTED


def test_a_bundle_that_is_sent_has_a_most_of_entries_and_a_file_has_not() -> None:
    entries: list[Any] = [0] * (MAX_ENTRIES + 1)
    document = {"resourceType": "Bundle", "entry": entries}
    (found,) = reader().read(document)
    assert (found.place, found.issues[0].code) == ("Bundle.entry", "too-costly")
    assert len(reader(None).read(document)) == MAX_ENTRIES + 1


def test_a_date_is_never_longer_than_a_date() -> None:
    long = "2026-01-02T00:00:00." + "0" * 100_000 + "Z"
    assert faults(condition(onsetDateTime=long)) == {"Condition.onsetDateTime"}


# -- entries: what their requests ask for


def entry(request: Json, document: Json | None = None) -> Read:
    return reader().read(bundle({"request": request, "resource": document or condition()}))[0]


@pytest.mark.parametrize("name", ["ifNoneExist", "ifMatch", "ifNoneMatch"])
def test_a_conditional_entry_is_refused_where_something_would_be_kept(name: str) -> None:
    asked = {"method": "POST", "url": "Condition", name: "x"}
    found = entry(asked)
    assert found.issues[0].expression == f"Bundle.entry[0].request.{name}"
    assert found.issues[0].code == "not-supported"
    assert entry(asked, resource("Claim")).outcome is Outcome.DROPPED, "nothing would be kept"
    gone = reader().read(bundle(deletion("Condition/1") | {"request": {
        "method": "DELETE", "url": "Condition/1", name: "x"}}))[0]  # fmt: skip
    assert gone.outcome is Outcome.REJECTED


def test_conditional_addresses_are_refused() -> None:
    for method in ("PUT", "DELETE"):
        found = entry({"method": method, "url": "Condition?identifier=s|1"}, {**condition()})
        if method == "PUT":
            assert found.outcome is Outcome.REJECTED
            assert found.issues[0].expression == "Bundle.entry[0].request.url"
    bare = reader().read(bundle(deletion("Condition?identifier=s|1")))[0]
    assert "conditional ones are not supported" in bare.issues[0].diagnostics


@pytest.mark.parametrize("name", ["ifNoneExist", "ifMatch", "ifNoneMatch"])
def test_a_condition_on_an_organisation_changes_nothing_and_is_passed_over(name: str) -> None:
    own = {
        "resourceType": "Organization",
        "id": "o",
        "identifier": [{"system": ODS, "value": "A99001"}],
    }
    for url in ("Organization", "Organization?identifier=s|1"):
        found = entry({"method": "PUT" if "?" in url else "POST", "url": url, name: "x"}, own)
        assert found.organisation == ("o", "A99001")


def test_an_update_has_one_id_and_one_type() -> None:
    assert entry({"method": "PUT", "url": "Condition/c1"}).outcome is Outcome.ACCEPTED
    other = entry({"method": "PUT", "url": "Condition/c2"})
    assert other.issues[0].expression == "Bundle.entry[0].resource.id"
    wrong = entry({"method": "PUT", "url": "Observation/c1"})
    assert wrong.issues[0].expression == "Bundle.entry[0].request.url"
    nothing = entry({"method": "PUT", "url": "Condition"})
    assert nothing.issues[0].expression == "Bundle.entry[0].request.url"
    assert "an update must name Type/ID" in nothing.issues[0].diagnostics


def test_the_address_of_an_update_is_the_id_of_what_has_none_for_references_too() -> None:
    unnamed = {name: value for name, value in patient().items() if name != "id"}
    given = {
        "fullUrl": "urn:uuid:1",
        "request": {"method": "PUT", "url": "Patient/p9"},
        "resource": unnamed,
    }
    own = condition(subject={"reference": "urn:uuid:1"})
    first, second = reader().read(bundle(given, own))
    assert first.patients == second.patients == (b"p9",)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PATCH", "post", 5])
def test_other_methods_are_refused(method: object) -> None:
    found = entry({"method": method, "url": "Condition/c1"})
    assert found.issues[0].expression == "Bundle.entry[0].request.method"


def test_all_that_is_wrong_with_an_entry_is_told_together() -> None:
    asked = {"method": "PUT", "url": "Condition/c2", "ifMatch": 'W/"1"'}
    found = entry(asked, condition(onsetDateTime="x"))
    assert {issue.expression for issue in found.issues} == {
        "Bundle.entry[0].request.ifMatch",
        "Bundle.entry[0].resource.id",
        "Bundle.entry[0].resource.onsetDateTime",
    }
    gone = reader().read(
        bundle(deletion("Condition/c1", response={"lastModified": "x", "etag": 5}))
    )[0]
    assert {issue.expression for issue in gone.issues} == {
        "Bundle.entry[0].response.etag",
        "Bundle.entry[0].response.lastModified",
    }


def test_files_are_read_as_they_are() -> None:
    """What requests ask of a server is nothing to `peerview evaluate`, which is none."""
    asked = {"method": "PUT", "url": "Condition/c2", "ifMatch": 'W/"1"', "ifNoneExist": "x"}
    found = reader(None).read(bundle({"request": asked, "resource": condition()}))[0]
    assert found.outcome is Outcome.ACCEPTED
