"""What a sender sees: answers, refusals, limits."""

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
import zstandard
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey
from structlog.testing import capture_logs

from tests.ingest.builders import PRACTICE, bundle, condition, meta, patient
from tests.ingest.conftest import Service

NOT_JSON = [b'{"a"', b"", b"\xff\xfe", b"[" * 200_000, b'{"a": NaN}', b'"\\ud800', b"{}{}"]


def issue(answer: Any) -> dict[str, Any]:
    body = answer.json()
    assert answer.headers["content-type"] == "application/fhir+json"
    assert body["resourceType"] == "OperationOutcome"
    found: dict[str, Any] = body["issue"][0]
    return found


@pytest.mark.parametrize("body", NOT_JSON)
async def test_what_is_not_json_is_a_400(service: Service, body: bytes) -> None:
    answer = await service.send("POST", "/fhir", content=body)
    assert (answer.status_code, issue(answer)["code"]) == (400, "structure")


@pytest.mark.parametrize(
    "document",
    [
        [],
        1,
        {"resourceType": "Patient"},
        {"resourceType": "Bundle"},
        {"resourceType": "Bundle", "type": "batch-response"},
        {"resourceType": "Bundle", "type": "batch", "entry": {}},
    ],
)
async def test_what_is_no_bundle_is_a_400(service: Service, document: Any) -> None:
    assert issue(await service.bundle(document))["code"] == "structure"


async def test_bad_entries_are_refused_singly(service: Service) -> None:
    answer = await service.bundle(
        bundle(patient(), condition(onsetDateTime="2020-02-30"), {"resource": {}}, None)
    )
    assert answer.status_code == 202
    body = answer.json()
    assert body["type"] == "batch-response"
    statuses = [entry["response"]["status"][:3] for entry in body["entry"]]
    assert statuses == ["202", "422", "422", "422"]
    found = body["entry"][1]["response"]["outcome"]["issue"][0]
    assert found["expression"] == ["Bundle.entry[1].resource.onsetDateTime"]
    assert "2020-02-30" not in answer.text


async def test_the_receipt_says_where_in_the_log_it_is(service: Service) -> None:
    answer = await service.bundle(bundle(patient()))
    assert answer.headers["Peerview-Positions"] == "0@0"
    (receipt,) = answer.json()["meta"]["extension"]
    assert receipt["url"] == "urn:peerview:receipt"
    position = next(part for part in receipt["extension"] if part["url"] == "position")
    assert [part.get("valueInteger", part.get("valueDecimal")) for part in position["extension"]]


async def test_a_transaction_is_all_or_nothing(service: Service) -> None:
    wrong = bundle(patient(), condition(subject=None), kind="transaction")
    answer = await service.bundle(wrong)
    assert answer.status_code == 422
    assert issue(answer)["expression"] == ["Bundle.entry[1].resource.subject"]
    assert service.log.records == []
    right = await service.bundle(bundle(patient(), condition(), kind="transaction"))
    assert right.json()["type"] == "transaction-response"
    assert len(service.log.records) == 1


async def test_single_resources(service: Service) -> None:
    assert (await service.send("POST", "/fhir/Patient", json=patient())).status_code == 202
    unnamed = {key: value for key, value in condition().items() if key != "id"}
    put = await service.send("PUT", "/fhir/Condition/c9", json=unnamed)
    assert put.status_code == 202
    other = await service.send("PUT", "/fhir/Condition/c9", json=condition("c8"))
    assert other.status_code == 400
    refused = await service.send("POST", "/fhir/Condition", json=condition(subject=None))
    assert (refused.status_code, issue(refused)["expression"]) == (422, ["Condition.subject"])
    assert (await service.send("POST", "/fhir/Klaim", json={})).status_code == 404
    wrong = await service.send("POST", "/fhir/Patient", json=condition())
    assert wrong.status_code == 400
    dropped = await service.send("POST", "/fhir/Claim", json={"resourceType": "Claim"})
    assert dropped.status_code == 202
    assert issue(dropped)["diagnostics"] == "no indicator needs it"


async def test_metadata_says_what_is_taken(service: Service) -> None:
    body = (await service.client.get("/fhir/metadata")).json()
    assert body["resourceType"] == "CapabilityStatement"
    assert {"Patient", "Organization"} <= {each["type"] for each in body["rest"][0]["resource"]}


async def test_large_bodies_are_refused_before_and_while_reading(service: Service) -> None:
    limit = service.ingest.settings.max_body_bytes
    assert (await service.send("POST", "/fhir", content=b" " * 50_000_000)).status_code == 413

    async def chunks() -> Any:
        for _ in range(limit // 1_000_000 + 2):
            yield b" " * 1_000_000

    assert (await service.send("POST", "/fhir", content=chunks())).status_code == 413
    bomb = gzip.compress(b" " * (limit * 2))
    answer = await service.send("POST", "/fhir", content=bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 413


def lines(*documents: Any) -> bytes:
    return b"\n".join(json.dumps(each).encode() for each in documents)


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
async def test_bulk_takes_lines_plain_or_compressed(service: Service, encoding: str) -> None:
    data = lines(patient(), condition(), condition("c2", onsetDateTime="x")) + b"\n\n{"
    if encoding == "gzip":
        data = gzip.compress(data[:50]) + gzip.compress(data[50:])
    elif encoding == "zstd":
        data = zstandard.compress(data[:50]) + zstandard.compress(data[50:])
    answer = await service.send(
        "POST", "/v1/bulk", content=data, headers={"Content-Encoding": encoding}
    )
    assert answer.status_code == 202
    body = answer.json()
    assert (body["accepted"], body["rejected"], body["dropped"]) == (2, 2, 0)
    assert sorted((each["line"], each["place"]) for each in body["rejections"]) == [
        (3, "Condition.onsetDateTime"),
        (5, "line"),
    ]


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_bulk_that_is_cut_off_or_not_compressed_is_refused(
    service: Service, encoding: str
) -> None:
    whole = {"gzip": gzip.compress, "zstd": zstandard.compress}[encoding](lines(patient()))
    for data in (whole[:-6], b"plain"):
        answer = await service.send(
            "POST", "/v1/bulk", content=data, headers={"Content-Encoding": encoding}
        )
        assert (answer.status_code, answer.json()["title"]) == (400, "not compressed")
    assert service.log.records == []


async def test_a_heartbeat_is_a_record_without_patients(service: Service) -> None:
    answer = await service.send("POST", "/v1/heartbeat")
    assert answer.status_code == 202
    (record,) = service.log.sets()
    assert record.patients == []
    assert record.data_through == record.received


async def test_an_idempotency_key_gives_the_first_answer_again(service: Service) -> None:
    key = {"Idempotency-Key": "one"}
    first = await service.bundle(bundle(condition(meta=meta("2026-01-01T00:00:00Z"))), headers=key)
    again = await service.bundle(bundle(condition(meta=meta("2026-01-01T00:00:00Z"))), headers=key)
    assert first.json() == again.json()
    other = await service.bundle(bundle(patient()), headers=key)
    assert (other.status_code, issue(other)["severity"]) == (422, "error")


async def test_too_much_in_flight_is_a_429(service: Service, monkeypatch: Any) -> None:
    service.log.gate = asyncio.Event()
    monkeypatch.setattr(service.ingest, "_held", service.ingest.settings.max_in_flight_bytes)
    answer = await service.bundle(bundle(patient()))
    assert (answer.status_code, issue(answer)["code"]) == (429, "throttled")
    assert answer.headers["retry-after"]


async def test_readiness_names_what_is_wrong(service: Service) -> None:
    assert (await service.client.get("/health/ready")).status_code == 200
    service.log.away = "gone"
    answer = await service.client.get("/health/ready")
    assert (answer.status_code, answer.json()["checks"]["broker"]) == (503, "gone")
    assert (await service.client.get("/health/live")).status_code == 200
    assert b"peerview_ingest_resources_total" in (await service.client.get("/metrics")).content


@pytest.mark.parametrize(
    ("method", "path", "content", "told"),
    [
        ("POST", "/v1/bulk?upload=x&from_line=0", "{}", "from_line: Input should be greater"),
        ("PUT", "/v1/extracts/2026-01-02?mode=half", "", "mode: Input should be 'full' or 'delta'"),
        ("PUT", "/v1/extracts/01-02-2026?mode=full", "", "day: Input should be a valid date"),
        ("POST", "/v1/uploads", '{"full": "perhaps"}', "full: Input should be a valid boolean"),
        ("POST", "/v1/uploads", '{"SECRET": 1}', "has a field that is not described"),
        ("POST", "/v1/uploads", "[]", "the body is no JSON object"),
    ],
)
async def test_what_is_wrong_with_a_request_is_named_and_not_repeated(
    service: Service, method: str, path: str, content: str, told: str
) -> None:
    answer = await service.send(method, path, content=content)
    assert (answer.status_code, told in answer.json()["detail"]) == (400, True), answer.text
    assert "SECRET" not in answer.text
    assert "perhaps" not in answer.text
    assert "half" not in answer.text


async def test_operators_are_told_whose_records_are_refused_and_why(service: Service) -> None:
    wrong = condition(onsetDateTime="SECRET")
    with capture_logs() as lines:
        await service.bundle(bundle(patient(), wrong, wrong | {"id": "c2"}))
        await service.bundle(bundle(patient()))
    (line,) = [line for line in lines if line["event"] == "refused"]
    assert (line["practice"], line["source"], line["refused"], line["of"]) == (
        PRACTICE, "demo", 2, 3,
    )  # fmt: skip
    assert line["place"] == "Bundle.entry[1].resource.onsetDateTime"
    assert "SECRET" not in str(line)


# -- who may send


async def test_the_practice_is_the_tokens(service: Service) -> None:
    service.token = service.token_for("A99001", "A99002")
    assert (await service.bundle(bundle(patient()))).status_code == 400
    named = {"ODS-Code": "A99002"}
    assert (await service.bundle(bundle(patient()), headers=named)).status_code == 202
    assert service.log.sets()[0].practice == "A99002"
    foreign = {"ODS-Code": "B99003"}
    assert (await service.bundle(bundle(patient()), headers=foreign)).status_code == 403
    service.token = service.token_for()
    assert (await service.bundle(bundle(patient()))).status_code == 403
    service.token = service.token_for(PRACTICE, scope="other")
    assert (await service.bundle(bundle(patient()))).status_code == 403


def forged(service: Service) -> dict[str, str]:
    issuer = service.issuer
    public = json.loads((issuer.directory / "jwks.json").read_text())["keys"][0]
    claims = json.loads(_unpack(service.token.split(".")[1]))

    def signed(key: Any, **header: Any) -> str:
        head = {"alg": "Ed25519", "kid": public["kid"], **header}
        return jwt.encode(head, claims, key, algorithms=[head["alg"]])

    none_head = _pack(json.dumps({"alg": "none", "kid": public["kid"]}).encode())
    hs_head = _pack(json.dumps({"alg": "HS256", "kid": public["kid"]}).encode())
    payload = service.token.split(".")[1]
    secret = hmac.digest(
        json.dumps(public).encode(), f"{hs_head}.{payload}".encode(), hashlib.sha256
    )
    raw = hmac.digest(_unpack(public["x"]), f"{hs_head}.{payload}".encode(), hashlib.sha256)
    stranger = OKPKey.generate_key("Ed25519", parameters={"kid": public["kid"]})
    widened = _pack(json.dumps({**claims, "practices": ["B99003"]}).encode())
    first, _, last = service.token.split(".")
    return {
        "alg none": f"{none_head}.{payload}.",
        "alg none with a signature": f"{none_head}.{payload}.{last}",
        "HS256 by the public key's JSON": f"{hs_head}.{payload}.{_pack(secret)}",
        "HS256 by the public key's bytes": f"{hs_head}.{payload}.{_pack(raw)}",
        "another key": signed(stranger),
        "its own key in the header": signed(stranger, jwk=stranger.as_dict(private=False)),
        "keys from elsewhere": signed(stranger, jku="https://evil.example/jwks.json"),
        "another kid": signed(OctKey.generate_key(256), alg="HS256", kid="other"),
        "another issuer": service.token_for(PRACTICE, iss="https://evil.example"),
        "another audience": service.token_for(PRACTICE, aud="other"),
        "expired": service.token_for(PRACTICE, expires_in=-120),
        "not yet valid": service.token_for(PRACTICE, nbf=int(time.time()) + 3_600),
        "changed claims": f"{first}.{widened}.{last}",
        "no signature": f"{first}.{payload}.",
        "not a token": "abc",
        "empty": "",
    }


async def test_forged_tokens_are_refused(service: Service) -> None:
    assert (await service.bundle(bundle(patient()))).status_code == 202
    for name, token in forged(service).items():
        service.token = token
        answer = await service.bundle(bundle(condition()))
        assert (name, answer.status_code) == (name, 401)
        assert issue(answer)["code"] == "login"
    assert len(service.log.records) == 1


def _pack(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _unpack(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
