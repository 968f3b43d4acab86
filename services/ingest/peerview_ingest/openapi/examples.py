"""Examples of requests and answers. A test sends each to the real application: ``x-run`` says what
its token claims (beside the practice), its query, and the status that comes back."""

import json
from typing import Any, Final

from peerview_ingest.answers import MEDIA_TYPE as FHIR
from peerview_ingest.answers import RECEIPT
from peerview_ingest.bulk.report import MEDIA_TYPE as NDJSON
from peerview_ingest.senders import PATIENTS, PSEUDONYMS

Json = dict[str, Any]

JSON: Final = "application/json"
PRACTICE: Final = "A99001"
SNOMED: Final = "http://snomed.info/sct"
LOINC: Final = "http://loinc.org"

PATIENT: Final[Json] = {
    "resourceType": "Patient",
    "id": "5b1c6d0e-7a1f-4b8e-9a55-0d3a3f0b7c01",
    "meta": {"lastUpdated": "2026-04-01T08:00:00Z", "versionId": "1"},
    "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000018"}],
    "gender": "female",
    "birthDate": "1958-11-03",
}
SUBJECT: Final[Json] = {"reference": f"Patient/{PATIENT['id']}"}
CONDITION: Final[Json] = {
    "resourceType": "Condition",
    "id": "c1",
    "meta": {"lastUpdated": "2026-04-01T08:00:00Z"},
    "subject": SUBJECT,
    "code": {"coding": [{"system": SNOMED, "code": "38341003", "display": "Hypertension"}]},
    "onsetDateTime": "2019-02-11",
}
PRESSURE: Final[Json] = {
    "resourceType": "Observation",
    "id": "o1",
    "meta": {"lastUpdated": "2026-04-02T09:31:00Z"},
    "status": "final",
    "subject": SUBJECT,
    "code": {"coding": [{"system": LOINC, "code": "85354-9"}]},
    "effectiveDateTime": "2026-04-02T09:30:00+01:00",
    "component": [
        {
            "code": {"coding": [{"system": LOINC, "code": code}]},
            "valueQuantity": {
                "value": value,
                "system": "http://unitsofmeasure.org",
                "code": "mm[Hg]",
            },
        }
        for code, value in (("8480-6", 134), ("8462-4", 82))
    ],
}
NOBODYS: Final[Json] = {key: value for key, value in PRESSURE.items() if key != "subject"}
"""Refused: it is not said whose it is."""

EXTRACT: Final = (
    "PatientGuid,NhsNumber,DateOfBirth,DateOfDeath,Sex,OrganisationOds,DateOfRegistration,"
    "DateOfDeactivation,AvailabilityDate,AvailabilityTime,Deleted\n"
    f"{PATIENT['id']},9990000018,03/11/1958,,F,{PRACTICE},01/04/2015,,01/04/2026,08:00:00,False\n"
)


def bundle(kind: str, *resources: Json) -> Json:
    entries = [
        {
            "resource": each,
            "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"},
        }
        for each in resources
    ]
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def _example(summary: str, value: Any, status: int, **run: Any) -> Json:
    return {"summary": summary, "value": value, "x-run": {"status": status, **run}}


_PEOPLE: Final[Json] = {"patients": [PATIENT["id"]]}
_KEEPER: Final[Json] = {"scope": PATIENTS}

_EXAMPLES: Final[dict[tuple[str, str], dict[str, Json]]] = {
    ("sendBundle", FHIR): {
        "batch": _example(
            "Entry by entry: what is wrong of one leaves the others",
            bundle("batch", PATIENT, CONDITION, NOBODYS),
            202,
        ),
        "transaction": _example(
            "All or nothing", bundle("transaction", PATIENT, CONDITION, PRESSURE), 202
        ),
        "refused": _example(
            "A transaction with one resource that is refused",
            bundle("transaction", PATIENT, NOBODYS),
            422,
        ),
        "deletion": _example(
            "A resource that is no more",
            {
                "resourceType": "Bundle",
                "type": "batch",
                "entry": [{"request": {"method": "DELETE", "url": "Condition/c1"}}],
            },
            202,
        ),
        "not-a-bundle": _example("One resource has an address of its own", PATIENT, 400),
    },
    ("createResource", FHIR): {
        "reading": _example("A blood pressure", PRESSURE, 202, path={"kind": "Observation"}),
        "refused": _example("Nobody's", NOBODYS, 422, path={"kind": "Observation"}),
        "no-such-type": _example("Not of FHIR R4", PRESSURE, 404, path={"kind": "Reading"}),
    },
    ("updateResource", FHIR): {
        "condition": _example("A newer version", CONDITION, 202),
        "another-id": _example("Not the address's", CONDITION | {"id": "c2"}, 400),
    },
    ("sendLines", NDJSON): {
        "lines": _example(
            "A line a resource",
            "".join(json.dumps(each) + "\n" for each in (PATIENT, CONDITION, PRESSURE, NOBODYS)),
            202,
        ),
        "empty": _example("No line at all", "\n", 400),
    },
    ("beginUpload", JSON): {
        "full": _example("All records that there are", {"full": True, "lines": 120000}, 201),
        "anything": _example("Some more of them", {}, 201),
        "other-code-list": _example(
            "For another code list than the one in use", {"code_list": "2020-01-01"}, 409
        ),
    },
    ("completeUpload", JSON): {
        "end": _example("It has no more lines", {"lines": 0}, 200),
        "lines-missing": _example("There should have been more", {"lines": 7}, 409),
    },
    ("pseudonyms", JSON): {
        "patients": _example(
            "By the ids of the practice's own system",
            _PEOPLE,
            200,
            claims={"scope": PSEUDONYMS, "roles": ["clinical"]},
        ),
        "no-patients": _example(
            "Nobody", {"patients": []}, 400, claims={"scope": PSEUDONYMS, "roles": ["clinical"]}
        ),
    },
    ("erasePatients", JSON): {"patients": _example("One patient", _PEOPLE, 202, claims=_KEEPER)},
    ("setObjections", JSON): {
        "objects": _example(
            "A patient who objects", {**_PEOPLE, "objects": True}, 202, claims=_KEEPER
        ),
        "takes-part": _example(
            "A patient who objects no more", {**_PEOPLE, "objects": False}, 202, claims=_KEEPER
        ),
    },
    ("finishRekeying", JSON): {
        "refuse": _example(
            "Not while somebody is unmatched",
            {"unmatched": "refuse"},
            200,
            claims={"scope": "ingest:operate"},
        )
    },
    ("sendExtract", "multipart/form-data"): {
        "changes": _example(
            "What has changed of two tables, which this supplier has in one file",
            {"patients": EXTRACT, "registrations": EXTRACT},
            202,
            claims={"system": "fieldgate"},
            query={"mode": "delta"},
        ),
        "no-mapping": _example(
            "From a system that no mapping knows",
            {"patients": EXTRACT},
            409,
            claims={"system": "somebody"},
            query={"mode": "delta"},
        ),
    },
}

PARAMETERS: Final[dict[tuple[str, str], Any]] = {
    ("createResource", "kind"): "Observation",
    ("updateResource", "kind"): "Condition",
    ("updateResource", "id_text"): "c1",
    ("deleteResource", "kind"): "Condition",
    ("deleteResource", "id_text"): "c1",
    ("beginRekeying", "ods"): PRACTICE,
    ("showRekeying", "ods"): PRACTICE,
    ("cancelRekeying", "ods"): PRACTICE,
    ("finishRekeying", "ods"): PRACTICE,
    ("sendExtract", "day"): "2026-04-01",
    ("sendExtract", "mode"): "delta",
    ("confirmExtract", "day"): "2026-04-01",
    ("rejectExtract", "day"): "2026-04-01",
}

_NO_PATIENT: Final = (
    "must point to a patient: Patient/ID, a URL ending so, or urn:uuid: of one given here; an "
    "identifier or a display alone is not enough"
)
_RECEIPT_META: Final[Json] = {
    "extension": [
        {
            "url": RECEIPT,
            "extension": [
                {"url": "submission", "valueString": "0b8f6c1e-5d0a-4a53-9a0e-8a3c1f0d2b11"},
                {"url": "received", "valueInstant": "2026-05-28T20:26:40.000Z"},
                {"url": "accepted", "valueInteger": 2},
                {"url": "rejected", "valueInteger": 1},
                {"url": "dropped", "valueInteger": 0},
                {"url": "unchanged", "valueInteger": 0},
                {"url": "objections", "valueInteger": 0},
                {"url": "opted-in", "valueInteger": 0},
                {"url": "shared-nhs-numbers", "valueInteger": 0},
                {
                    "url": "position",
                    "extension": [
                        {"url": "partition", "valueInteger": 3},
                        {"url": "offset", "valueDecimal": 1041},
                    ],
                },
            ],
        }
    ]
}

ANSWERS: Final[dict[tuple[str, int], tuple[str, Any]]] = {
    ("sendBundle", 202): (
        FHIR,
        {
            "resourceType": "Bundle",
            "type": "batch-response",
            "timestamp": "2026-05-28T20:26:40.000Z",
            "meta": _RECEIPT_META,
            "entry": [
                {
                    "response": {
                        "status": "202 Accepted",
                        "location": f"Patient/{PATIENT['id']}",
                        "etag": 'W/"1"',
                        "lastModified": "2026-04-01T08:00:00.000Z",
                    }
                },
                {
                    "response": {
                        "status": "202 Accepted",
                        "location": "Condition/c1",
                        "lastModified": "2026-04-01T08:00:00.000Z",
                    }
                },
                {
                    "response": {
                        "status": "422 Unprocessable Entity",
                        "outcome": {
                            "resourceType": "OperationOutcome",
                            "issue": [
                                {
                                    "severity": "error",
                                    "code": "required",
                                    "diagnostics": _NO_PATIENT,
                                    "expression": ["Bundle.entry[2].resource.subject"],
                                }
                            ],
                        },
                    }
                },
            ],
        },
    ),
    ("sendLines", 202): (
        JSON,
        {
            "submission": "0b8f6c1e-5d0a-4a53-9a0e-8a3c1f0d2b11",
            "practice": PRACTICE,
            "source": "emis",
            "received": "2026-05-28T20:26:40.000Z",
            "accepted": 3,
            "rejected": 1,
            "dropped": 0,
            "unchanged": 0,
            "objections": 0,
            "opted_in": 0,
            "shared_nhs_numbers": 0,
            "positions": [{"partition": 3, "offset": 1041}],
            "rejections": [
                {
                    "line": 4,
                    "place": "Observation.subject",
                    "code": "required",
                    "reason": _NO_PATIENT,
                }
            ],
            "warnings": [],
        },
    ),
}
"""By operation and status: the answer to the first example of its request."""


def of(operation: str, media: str) -> dict[str, Json]:
    """The examples of one body; none for a media type that says the same as another."""
    return _EXAMPLES.get((operation, media), {})
