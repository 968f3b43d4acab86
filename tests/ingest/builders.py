"""FHIR resources as plain JSON, with what a test does not care about filled in."""

from typing import Any

from peerview_common import codes
from peerview_common.days import parse_day
from peerview_common.facts import Fact
from peerview_common.ids import OdsCode
from peerview_ingest.fhir import ClearKeys, Feed, Outcome, Read, Reader, Receipt
from peerview_ingest.fhir.collect import Collected, collect

Json = dict[str, Any]

PRACTICE = OdsCode("A99001")
SNOMED = "http://snomed.info/sct"
HYPERTENSION = "38341003"
DISSENT = "TYPE1DISSENT_COD"
WITHDRAWN = "TYPE1WITHDRAWN_COD"
CLUSTER = "urn:peerview:cluster"
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
NHS = "https://fhir.nhs.uk/Id/nhs-number"
NOW = 1_780_000_000_000
"""2026-05-28T20:26:40Z"""


def concept(code: str, system: str = SNOMED) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def resource(kind: str, id_text: str = "r1", patient: str | None = "p1", **rest: Any) -> Json:
    found: Json = {"resourceType": kind, "id": id_text}
    if patient is not None:
        element = "patient" if kind in ("EpisodeOfCare", "Immunization") else "subject"
        found[element] = {"reference": f"Patient/{patient}"}
    return without_absent({**found, **rest})


def patient(id_text: str = "p1", **rest: Any) -> Json:
    body = {"birthDate": "1960-05-01", "gender": "male", **rest}
    return resource("Patient", id_text, None, **body)


def condition(id_text: str = "c1", code: str | Json = HYPERTENSION, **rest: Any) -> Json:
    body = {
        "code": concept(code) if isinstance(code, str) else code,
        "onsetDateTime": "2020-02-20",
        **rest,
    }
    return resource("Condition", id_text, **body)


def observation(id_text: str = "o1", code: str | Json = "8480-6", **rest: Any) -> Json:
    body = {
        "status": "final",
        "code": concept(code, "http://loinc.org") if isinstance(code, str) else code,
        "effectiveDateTime": "2026-01-02",
        "valueQuantity": {"value": 138, "code": "mm[Hg]"},
        **rest,
    }
    return resource("Observation", id_text, **body)


def prescription(id_text: str = "m1", **rest: Any) -> Json:
    body = {
        "status": "active",
        "intent": "order",
        "authoredOn": "2026-01-02",
        "medicationCodeableConcept": concept("562251", RXNORM),
        **rest,
    }
    return resource("MedicationRequest", id_text, **body)


RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"


def encounter(id_text: str = "e1", **rest: Any) -> Json:
    body = {
        "status": "finished",
        "class": {"code": "AMB"},
        "period": {"start": "2026-01-02T09:00:00Z"},
        "participant": [participant("Practitioner/gp1")],
        **rest,
    }
    return resource("Encounter", id_text, **body)


def participant(reference: str | None = None, kind: str | None = "PPRF", **individual: Any) -> Json:
    if reference is not None:
        individual["reference"] = reference
    found: Json = {"individual": individual}
    if kind is not None:
        found["type"] = [{"coding": [{"code": kind}]}]
    return found


def appointment(id_text: str = "a1", *actors: str, **rest: Any) -> Json:
    body = {
        "status": "fulfilled",
        "start": "2026-01-12T09:00:00Z",
        "created": "2026-01-02T09:00:00Z",
        "serviceType": [{"text": "Home Visit"}],
        "participant": [{"actor": {"reference": actor}} for actor in actors or ("Patient/p1",)],
        **rest,
    }
    return resource("Appointment", id_text, None, **body)


def episode(id_text: str = "g1", **rest: Any) -> Json:
    body = {"status": "active", "period": {"start": "2015-03-01"}, **rest}
    return resource("EpisodeOfCare", id_text, **body)


def dissent(id_text: str = "d1", day: str | None = "2024-01-01", code: str = DISSENT) -> Json:
    return observation(id_text, code=code, effectiveDateTime=day, valueQuantity=None) | {
        "code": concept(code, CLUSTER)
    }


def meta(updated: str | None = None, version: str | None = None) -> Json:
    return without_absent({"lastUpdated": updated, "versionId": version})


def bundle(*entries: Any, kind: str = "batch", **rest: Any) -> Json:
    listed = [
        {"resource": entry} if isinstance(entry, dict) and "resourceType" in entry else entry
        for entry in entries
    ]
    return {"resourceType": "Bundle", "type": kind, "entry": listed, **rest}


def deletion(url: str, **rest: Any) -> Json:
    return {"request": {"method": "DELETE", "url": url}, **rest}


def without_absent(parts: Json) -> Json:
    return {name: value for name, value in parts.items() if value is not None}


def reader(now: int | None = NOW, *, register_all: bool = False) -> Reader:
    feed = Feed(PRACTICE, "demo", register_all)
    return Reader(codes.shipped(), feed, ClearKeys(), Receipt(now))


def read(document: Json, now: int | None = NOW, *, register_all: bool = False) -> Read:
    """The one resource of a document."""
    (found,) = reader(now, register_all=register_all).read(document)
    return found


def fact(document: Json, now: int | None = NOW, **rest: Any) -> Fact:
    """The fact of a document that is accepted."""
    found = read(document, now, **rest)
    assert found.outcome is Outcome.ACCEPTED, found.issues
    assert found.fact is not None
    return found.fact


def body(document: Json, now: int | None = NOW, **rest: Any) -> Any:
    return fact(document, now, **rest).body


def void(document: Json) -> Read:
    """A version that counts nothing, but is one."""
    found = read(document)
    assert found.outcome is Outcome.DROPPED, found
    assert found.fact is not None
    assert found.fact.body is None
    return found


def refusal(document: Json, now: int | None = NOW) -> tuple[str, str]:
    """Place and code of the first error."""
    (*_, found) = reader(now).read(document)
    assert found.outcome is Outcome.REJECTED
    assert found.fact is None
    (issue, *_) = (issue for issue in found.issues if issue.severity == "error")
    return issue.expression, issue.code


def collected(*documents: Json, register_all: bool = False) -> Collected:
    return collect(
        list(documents), practice=PRACTICE, codes=codes.shipped(), register_all=register_all
    )


def day(text: str) -> int:
    return parse_day(text)
