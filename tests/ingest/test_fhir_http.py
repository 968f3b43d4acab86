"""`/fhir` as a client of FHIR meets it: negotiation, what is not supported, what is answered."""

import json
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from fastapi.routing import APIRoute
from structlog.testing import capture_logs

from peerview_common.days import from_millis
from peerview_ingest import capability, fhir_routes
from peerview_ingest.fhir.types import RESOURCE_TYPES
from tests.ingest.builders import (
    NOW,
    ODS,
    PRACTICE,
    Json,
    appointment,
    bundle,
    condition,
    deletion,
    encounter,
    episode,
    meta,
    observation,
    patient,
    prescription,
    resource,
)
from tests.ingest.conftest import Service
from tests.ingest.test_api import issue

UUID = "6f1c3f9e-58f3-4f0e-8b0a-3f6f6d0f7c11"
PARTS = {
    "Appointment": appointment(UUID),
    "Condition": condition(UUID),
    "Encounter": encounter(UUID),
    "EpisodeOfCare": episode(UUID),
    "Immunization": resource(
        "Immunization",
        UUID,
        status="completed",
        occurrenceDateTime="2026-01-02",
        vaccineCode={"coding": [{"system": "http://hl7.org/fhir/sid/cvx", "code": "03"}]},
    ),
    "MedicationRequest": prescription(UUID),
    "Observation": observation(UUID),
    "Organization": {
        "resourceType": "Organization",
        "id": UUID,
        "identifier": [{"system": ODS, "value": "A99001"}],
    },
    "Patient": patient(UUID),
    "Procedure": resource(
        "Procedure",
        UUID,
        status="completed",
        performedDateTime="2026-01-02",
        code={"coding": [{"system": "urn:peerview:cluster", "code": "CSPCADEC_COD"}]},
    ),
}


# -- the CapabilityStatement is true


async def test_what_the_statement_says_is_what_is_done(service: Service) -> None:
    """Each interaction named is accepted, and each type that is not named keeps nothing."""
    body = (await service.client.get("/fhir/metadata")).json()
    (rest,) = body["rest"]
    named = {each["type"]: {i["code"] for i in each["interaction"]} for each in rest["resource"]}
    assert set(named) == set(PARTS)
    for kind, interactions in named.items():
        made = await service.send("POST", f"/fhir/{kind}", json=PARTS[kind])
        put = await service.send("PUT", f"/fhir/{kind}/{UUID}", json=PARTS[kind])
        gone = await service.send("DELETE", f"/fhir/{kind}/{UUID}")
        done = {"create": made, "update": put, "delete": gone}
        accepted = {
            name
            for name, answer in done.items()
            if answer.headers["Peerview-Receipt"].startswith("accepted=1")
        }
        assert accepted == interactions, kind
    for kind in RESOURCE_TYPES - set(named) - {"Bundle"}:
        answer = await service.send("POST", f"/fhir/{kind}", json={"resourceType": kind})
        assert answer.headers["Peerview-Receipt"].startswith("accepted=0, rejected=0, dropped=1")
    system = {each["code"] for each in rest["interaction"]}
    assert system == {"batch", "transaction"}
    for kind in system:
        assert (await service.bundle(bundle(patient(), kind=kind))).status_code == 202


def test_the_routes_are_those_of_the_statement(service: Service) -> None:
    """Another route is another line in the statement."""
    routes = fhir_routes.router(service.ingest, None).routes  # type: ignore[arg-type]
    shown = {
        (route.path, method)
        for route in routes
        if isinstance(route, APIRoute) and route.include_in_schema
        for method in route.methods
    }
    wanted = {("/fhir/metadata", "GET"), ("/fhir/metadata", "HEAD")}
    addresses = {
        "create": ("/fhir/{kind}", "POST"),
        "update": ("/fhir/{kind}/{id_text}", "PUT"),
        "delete": ("/fhir/{kind}/{id_text}", "DELETE"),
        "batch": ("/fhir", "POST"),
        "transaction": ("/fhir", "POST"),
    }
    (rest,) = capability.statement("1")["rest"]
    said = {each["code"] for each in rest["interaction"]}
    said |= {each["code"] for found in rest["resource"] for each in found["interaction"]}
    assert shown == wanted | {addresses[code] for code in said}


async def test_the_statement_needs_no_token_and_takes_head(service: Service) -> None:
    assert (await service.client.get("/fhir/metadata")).status_code == 200
    head = await service.client.request("HEAD", "/fhir/metadata")
    assert (head.status_code, head.content) == (200, b"")


# -- what is not supported says so


NOT_SUPPORTED = [
    ("GET", "", 405, "POST"),
    ("GET", "/Patient", 405, "POST"),
    ("GET", "/Patient?name=x", 405, "POST"),
    ("GET", "/Patient/1", 405, "PUT, DELETE"),
    ("HEAD", "/Patient/1", 405, "PUT, DELETE"),
    ("PATCH", "/Patient/1", 405, "PUT, DELETE"),
    ("POST", "/Patient/1", 405, "PUT, DELETE"),
    ("PUT", "/Patient", 405, "POST"),
    ("DELETE", "/Patient", 405, "POST"),
    ("DELETE", "", 405, "POST"),
    ("POST", "/metadata", 405, "GET, HEAD"),
    ("PUT", "/Patient?identifier=s|1", 400, None),
    ("DELETE", "/Patient?identifier=s|1", 400, None),
    ("PATCH", "/Patient?identifier=s|1", 400, None),
    ("GET", "/_history", 400, None),
    ("GET", "/Patient/_history", 400, None),
    ("GET", "/Patient/1/_history", 400, None),
    ("GET", "/Patient/1/_history/1", 400, None),
    ("GET", "/Patient/_search", 400, None),
    ("POST", "/Patient/_search", 400, None),
    ("POST", "/_search", 400, None),
    ("POST", "/$process-message", 400, None),
    ("GET", "/Patient/$everything", 400, None),
    ("PUT", "/Patient/$validate", 400, None),
    ("POST", "/Patient/1/$x", 400, None),
    ("GET", "/Patient/1/Condition", 400, None),
    ("GET", "/Klaim/1", 404, None),
    ("GET", "/a/b/c/d", 404, None),
]


@pytest.mark.parametrize(("method", "path", "status", "allow"), NOT_SUPPORTED)
async def test_what_is_not_supported(
    service: Service, method: str, path: str, status: int, allow: str | None
) -> None:
    answer = await service.send(method, f"/fhir{path}", json=patient())
    assert answer.status_code == status
    if method != "HEAD":
        assert issue(answer)["code"] in ("not-supported", "not-found")
        assert issue(answer)["diagnostics"]
    assert answer.headers.get("allow") == (allow and f"{allow}, OPTIONS")
    assert service.log.records == []


async def test_options_says_what_an_address_takes(service: Service) -> None:
    answer = await service.client.request("OPTIONS", "/fhir/Patient/1")
    assert (answer.status_code, answer.headers["allow"]) == (204, "PUT, DELETE, OPTIONS")


@pytest.mark.parametrize(
    ("method", "path", "header"),
    [
        ("POST", "/fhir/Patient", "If-None-Exist"),
        ("PUT", "/fhir/Patient/p1", "If-Match"),
        ("PUT", "/fhir/Patient/p1", "If-None-Match"),
        ("DELETE", "/fhir/Patient/p1", "If-Match"),
    ],
)
async def test_conditions_are_refused_not_passed_over(
    service: Service, method: str, path: str, header: str
) -> None:
    answer = await service.send(method, path, json=patient(), headers={header: 'W/"1"'})
    assert (answer.status_code, issue(answer)["code"]) == (400, "not-supported")
    assert header in issue(answer)["diagnostics"]
    assert service.log.records == []
    other = await service.send(
        "POST", "/fhir/Claim", json={"resourceType": "Claim"}, headers={header: 'W/"1"'}
    )
    assert other.status_code == 202, "of what is dropped nothing is asked"


# -- what it is written in


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 202),
        ("application/fhir+json", 202),
        ("application/fhir+json; charset=UTF-8; fhirVersion=4.0", 202),
        ("application/json", 202),
        ("text/json", 202),
        ("application/fhir+xml", 415),
        ("application/xml", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/x-ndjson", 415),
        ("application/fhir+json; charset=latin-1", 415),
        ("application/fhir+json; fhirVersion=3.0", 415),
    ],
)
async def test_the_type_of_a_body(service: Service, content_type: str | None, status: int) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    data = json.dumps(bundle(patient())).encode()
    for method, path in (("POST", "/fhir"), ("PUT", "/fhir/Patient/p1")):
        body = data if path == "/fhir" else json.dumps(patient()).encode()
        answer = await service.send(method, path, content=body, headers=headers)
        assert answer.status_code == status
        if status == 415:
            assert issue(answer)["code"] == "not-supported"
            assert answer.headers["accept-post"] == "application/fhir+json"


@pytest.mark.parametrize(
    ("accept", "query", "status"),
    [
        ("application/fhir+json", "", 202),
        ("application/json;q=0.5, application/fhir+xml", "", 202),
        ("*/*", "", 202),
        ("", "", 202),
        ("application/fhir+xml", "", 406),
        ("text/html, application/xhtml+xml", "", 406),
        ("application/fhir+json;q=0", "", 406),
        ("application/fhir+json; fhirVersion=5.0", "", 406),
        ("application/fhir+xml", "?_format=json", 202),
        ("application/fhir+xml", "?_format=application/fhir%2Bjson", 202),
        ("application/fhir+xml", "?_format=application/fhir+json", 202),
        ("application/fhir+json", "?_format=xml", 406),
        ("application/fhir+json", "?_format=ttl", 406),
    ],
)
async def test_the_type_of_an_answer(
    service: Service, accept: str, query: str, status: int
) -> None:
    headers = {"Accept": accept}
    answer = await service.bundle(bundle(patient()), headers=headers)
    asked = await service.send("POST", f"/fhir{query}", json=bundle(patient()), headers=headers)
    assert asked.status_code == status
    assert asked.headers["content-type"] == "application/fhir+json"
    if not query:
        assert answer.status_code == status
    known = await service.client.get(f"/fhir/metadata{query}", headers=headers)
    assert known.status_code == (200 if status == 202 else status)
    gone = await service.send("DELETE", f"/fhir/Patient/p1{query}", headers=headers)
    assert gone.status_code == status


async def test_prefer_minimal_leaves_the_body_out_and_says_so(service: Service) -> None:
    minimal = {"Prefer": "respond-async, return=minimal"}
    answer = await service.send("PUT", "/fhir/Patient/p1", json=patient(), headers=minimal)
    assert (answer.status_code, answer.content) == (202, b"")
    assert answer.headers["preference-applied"] == "return=minimal"
    assert "accepted=1" in answer.headers["peerview-receipt"]
    refused = await service.send("PUT", "/fhir/Patient/p1", json=patient(gender=1), headers=minimal)
    assert (refused.status_code, issue(refused)["expression"]) == (422, ["Patient.gender"])
    batch = await service.bundle(
        bundle(patient(birthDate="1960"), resource("Claim"), condition(subject=None)),
        headers=minimal,
    )
    assert ["outcome" in each["response"] for each in batch.json()["entry"]] == [
        False,
        False,
        True,
    ]


async def test_prefer_outcome_is_what_is_given_anyway_and_the_resource_never_is(
    service: Service,
) -> None:
    for asked, applied in (("OperationOutcome", "return=OperationOutcome"), ("representation", "")):
        answer = await service.send(
            "PUT", "/fhir/Patient/p1", json=patient(), headers={"Prefer": f"return={asked}"}
        )
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert answer.headers.get("preference-applied", "") == applied


# -- which version of what was taken


async def test_the_answer_names_the_version_that_was_taken(service: Service) -> None:
    at = "2026-01-02T03:04:05.678Z"
    own = condition(UUID, meta=meta(at, "12"))
    answer = await service.send("POST", "/fhir/Condition", json=own)
    assert answer.headers["location"] == f"/fhir/Condition/{UUID}"
    assert answer.headers["etag"] == 'W/"12"'
    assert answer.headers["last-modified"] == "Fri, 02 Jan 2026 03:04:05 GMT"
    (entry,) = (await service.bundle(bundle(own))).json()["entry"]
    assert entry["response"] == {
        "status": "202 Accepted",
        "location": f"Condition/{UUID}",
        "etag": 'W/"12"',
        "lastModified": at,
    }


async def test_without_a_version_of_its_own_it_is_the_time_of_receipt(service: Service) -> None:
    answer = await service.send("PUT", f"/fhir/Condition/{UUID}", json=condition(UUID))
    assert "etag" not in answer.headers
    assert parsedate_to_datetime(answer.headers["last-modified"]) == from_millis(NOW).replace(
        microsecond=0
    )


@pytest.mark.parametrize("id_text", ["john-smith", "9434765919", "943-476-5919", "obs-of-John"])
async def test_an_id_that_may_say_who_it_is_is_not_repeated(service: Service, id_text: str) -> None:
    answer = await service.send("PUT", f"/fhir/Patient/{id_text}", json=patient(id_text))
    assert answer.status_code == 202
    assert "location" not in answer.headers
    batch = await service.bundle(bundle(patient(id_text), deletion(f"Condition/{id_text}")))
    assert id_text not in batch.text


async def test_a_deletion_names_what_it_deleted(service: Service) -> None:
    answer = await service.send("DELETE", f"/fhir/Condition/{UUID}")
    assert answer.headers["location"] == f"/fhir/Condition/{UUID}"
    refused = await service.send("POST", "/fhir/Condition", json=condition(UUID, subject=None))
    assert "location" not in refused.headers


# -- Bundles of every type


@pytest.mark.parametrize(
    "kind", ["batch", "collection", "history", "searchset", "document", "message"]
)
async def test_bundles_of_every_type_are_taken_entry_by_entry(service: Service, kind: str) -> None:
    first: dict[str, Json] = {
        "document": {"resourceType": "Composition", "id": "1"},
        "message": {"resourceType": "MessageHeader", "id": "1"},
        "searchset": {"resourceType": "OperationOutcome"},
    }
    entries = [*([first[kind]] if kind in first else []), patient(), condition(subject=None)]
    answer = await service.bundle(bundle(*entries, kind=kind))
    assert answer.status_code == 202
    body = answer.json()
    assert body["type"] == "batch-response"
    statuses = [each["response"]["status"][:3] for each in body["entry"]]
    assert statuses == [*(["200"] if kind in first else []), "202", "422"]


async def test_a_history_counts_by_its_versions(service: Service) -> None:
    def version(number: int, **rest: Any) -> Json:
        return {
            "request": {"method": "PUT", "url": "Condition/c1"},
            "response": {"status": "200"},
            "resource": condition(meta=meta(f"2026-01-0{number}T00:00:00Z", str(number)), **rest),
        }

    gone = deletion("Condition/c1", response={"lastModified": "2026-01-03T00:00:00Z"})
    await service.bundle(bundle(version(2), gone, version(1), kind="history"))
    assert service.log.sets()[0].patients == [], "a deletion of what nobody had is all that counts"
    await service.bundle(bundle(gone, version(4), version(2), kind="history"))
    (change,) = service.log.sets()[-1].patients
    assert [fact.version for fact in change.facts] == [4]


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("batch-response", "Bundle.type"),
        ("transaction-response", "Bundle.type"),
        ("subscription-notification", "Bundle.type"),
        (None, "Bundle.type"),
        (["batch"], "Bundle.type"),
    ],
)
async def test_other_bundles_are_refused_by_their_type(
    service: Service, kind: Any, place: str
) -> None:
    answer = await service.bundle({"resourceType": "Bundle", "type": kind, "entry": []})
    assert (answer.status_code, issue(answer)["expression"]) == (400, [place])


async def test_too_many_entries_are_a_413(service: Service) -> None:
    answer = await service.send(
        "POST",
        "/fhir",
        content=b'{"resourceType":"Bundle","type":"batch","entry":[' + b"0," * 50_000 + b"0]}",
    )
    assert (answer.status_code, issue(answer)["expression"]) == (413, ["Bundle.entry"])


async def test_a_transaction_takes_puts_posts_and_deletions_or_nothing(service: Service) -> None:
    await service.bundle(bundle(condition("c0", meta=meta("2026-01-01T00:00:00Z"))))
    entries = [
        {"request": {"method": "PUT", "url": "Patient/p1"}, "resource": patient()},
        {"request": {"method": "POST", "url": "Condition"}, "resource": condition()},
        deletion("Condition/c0"),
    ]
    before = len(service.log.records)
    got = {"request": {"method": "GET", "url": "Patient/p1"}}
    refused = await service.bundle(bundle(*entries, got, kind="transaction"))
    assert (refused.status_code, issue(refused)["expression"]) == (
        422,
        ["Bundle.entry[3].request.method"],
    )
    assert len(service.log.records) == before
    taken = await service.bundle(bundle(*entries, kind="transaction"))
    assert taken.status_code == 202
    (change,) = service.log.sets()[-1].patients
    assert sorted(fact.deleted for fact in change.facts) == [False, False, True]


async def test_a_transaction_is_told_all_that_is_wrong_with_all_of_it(service: Service) -> None:
    wrong = [condition("c1", subject=None, onsetDateTime="x"), patient(gender=1)]
    answer = await service.bundle(bundle(*wrong, kind="transaction"))
    places = [each["expression"][0] for each in answer.json()["issue"]]
    assert places == [
        "Bundle.entry[0].resource.onsetDateTime",
        "Bundle.entry[0].resource.subject",
        "Bundle.entry[1].resource.gender",
    ]


async def test_a_repeated_key_says_that_it_is_the_first_answer(service: Service) -> None:
    headers = {"Idempotency-Key": "k", "Prefer": "return=minimal"}
    for number in range(2):
        answer = await service.send("PUT", "/fhir/Patient/p1", json=patient(), headers=headers)
        assert (answer.status_code, answer.content) == (202, b"")
        assert ("idempotent-replayed" in answer.headers) is bool(number)
    assert len(service.log.records) == 1


# -- addresses as clients write them


@pytest.mark.parametrize(
    ("method", "path", "document", "route"),
    [
        ("POST", "/fhir/", bundle(patient(UUID)), "/fhir"),
        ("POST", "/fhir/Patient/", patient(UUID), "/fhir/{kind}"),
        ("PUT", f"/fhir/Patient/{UUID}/", patient(UUID), "/fhir/{kind}/{id_text}"),
        ("DELETE", f"/fhir/Patient/{UUID}//", None, "/fhir/{kind}/{id_text}"),
        ("POST", "/v1/bulk/", patient(UUID), "/v1/bulk"),
    ],
)
async def test_a_slash_at_the_end_changes_nothing(
    service: Service, method: str, path: str, document: Json | None, route: str
) -> None:
    with capture_logs() as lines:
        answer = await service.send(method, path, json=document)
        assert (await service.client.get("/fhir/metadata/")).status_code == 200
    assert answer.status_code == 202, answer.text
    assert '"accepted":1' in answer.text.replace(": ", ":") or "accepted=1" in str(answer.headers)
    told = [line for line in lines if line["event"] == "request"]
    assert [entry["route"] for entry in told] == [route, "/fhir/metadata"]
    assert [entry["practice"] for entry in told] == [PRACTICE, None]


async def test_an_empty_body_is_told_as_such(service: Service) -> None:
    answer = await service.send("POST", "/fhir", content=b" ")
    assert (answer.status_code, answer.json()["issue"][0]["diagnostics"]) == (
        400,
        "the body is empty",
    )
