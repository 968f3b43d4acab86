"""The OpenAPI document is whole, and its examples are what the application does."""

import copy
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator

from peerview_common import codes
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.openapi import examples
from peerview_ingest.openapi.operations import OPERATIONS
from peerview_ingest.store import Store
from peerview_ingest.submission import Ingest
from peerview_tools.contracts import openapi
from peerview_tools.issuer import DevelopmentIssuer
from tests.ingest.builders import NOW, PRACTICE
from tests.ingest.conftest import MemoryLog, Service, settings
from tests.ingest.extracts.drops import Files, person, put

Json = dict[str, Any]

DOCUMENT: Json = openapi.document()
BY_ID = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
VOLATILE = {"submission", "received", "timestamp", "offset", "partition"}


def request_examples() -> list[tuple[str, str, str]]:
    return [
        (name, media, title)
        for name, (_, _, operation) in BY_ID.items()
        for media, content in operation.get("requestBody", {}).get("content", {}).items()
        for title in content.get("examples", {})
    ]


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("database") / "empty.db"
    Store(f"sqlite:///{path}").close()
    return path


@pytest.fixture
async def service(tmp_path: Path, empty_database: Path) -> AsyncIterator[Service]:
    issuer = DevelopmentIssuer(tmp_path / "issuer")
    chosen = settings(tmp_path, issuer)
    shutil.copy(empty_database, tmp_path / "ingest.db")
    log = MemoryLog()
    store = Store(chosen.ingest_database)
    ingest = Ingest(chosen, store, log, codes.shipped(), DEMONSTRATION_KEY, lambda: NOW)
    made = Service(ingest, log, issuer)
    yield made
    await made.client.aclose()
    ingest.close()


async def call(
    service: Service,
    name: str,
    *,
    claims: Json | None = None,
    path: Json | None = None,
    query: Json | None = None,
    headers: Json | None = None,
    **body: Any,
) -> httpx.Response:
    method, address, operation = BY_ID[name]
    values = {
        parameter["name"]: parameter["example"]
        for parameter in operation.get("parameters", [])
        if "example" in parameter
    }
    scope = (operation.get("x-scopes") or ["ingest:write"])[-1]
    said = {"scope": scope, "system": "emis", **(claims or {})}
    service.token = service.token_for(PRACTICE, **said)
    wanted = {**values, **(path or {})}
    found = address.format(
        **{key: value for key, value in wanted.items() if f"{{{key}}}" in address}
    )
    return await service.send(method, found, params=query, headers=headers or {}, **body)


async def prepare(service: Service, name: str) -> Json:
    """What must be there before an operation: its path's parameters."""
    if "{identity}" in BY_ID[name][1]:
        begun = await call(service, "beginUpload", json={})
        return {"identity": begun.json()["upload"]}
    if name.endswith("Rekeying"):
        # only a practice of which something has come can be re-keyed
        service.token = service.token_for(PRACTICE, system="emis")
        assert (await service.send("POST", "/v1/heartbeat")).status_code == 202
    if name in ("showRekeying", "cancelRekeying", "finishRekeying"):
        assert (await call(service, "beginRekeying")).status_code == 202
    if name in ("confirmExtract", "rejectExtract"):
        await hold(service)
    return {}


async def hold(service: Service) -> None:
    """A full extract without most of what the one before it had."""
    many = Files(patients=[person(f"p{number}") for number in range(60)])
    few = Files(patients=[person("p1")])
    service.token = service.token_for(PRACTICE, system="fieldgate")
    for day, files in (("2026-03-31", many), ("2026-04-01", few)):
        answer = await put(service, day, files.parts(), "full")
        assert answer.status_code == 202, answer.text
    assert answer.json()["state"] == "held"


def check(name: str, answer: httpx.Response) -> None:
    """The answer is one that the document has for this operation."""
    operation = BY_ID[name][2]
    status = str(answer.status_code)
    assert status in operation["responses"], f"{name}: {status} is not documented: {answer.text}"
    described = resolved(operation["responses"][status])
    media = answer.headers.get("content-type", "").partition(";")[0]
    if answer.content:
        assert media in described.get("content", {}), f"{name}: {status} as {media}"
        if media.endswith("json") and "ndjson" not in media:
            validate(described["content"][media]["schema"], answer.json())
    for header, details in described.get("headers", {}).items():
        details = resolved(details)
        if details.get("required"):
            assert header.lower() in answer.headers, f"{name}: {status} without {header}"
        if header.lower() in answer.headers:
            validate(details["schema"], answer.headers[header])


def resolved(part: Json) -> Json:
    while "$ref" in part:
        found: Any = DOCUMENT
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


def validate(schema: Json, value: Any) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(whole, format_checker=FormatChecker()).validate(value)


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    broken = copy.deepcopy(DOCUMENT)
    del broken["paths"]["/fhir"]["post"]["responses"]["202"]["description"]
    assert list(OpenAPIV31SpecValidator(broken).iter_errors())


def test_every_route_is_described_and_nothing_else() -> None:
    there = {
        (method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods
    }
    assert there == set(OPERATIONS), "describe new routes in peerview_ingest/openapi/operations.py"
    assert len(BY_ID) == len(OPERATIONS), "operations have names of their own"


def test_every_operation_says_how_it_succeeds_and_fails() -> None:
    for name, (_, path, operation) in BY_ID.items():
        answers = set(operation["responses"])
        assert any(status.startswith("2") for status in answers), name
        if operation["security"]:
            assert answers >= {"400", "401", "403", "429", "500", "503"}, name
        if "requestBody" in operation:
            assert answers >= {"408", "413", "415"}, name
        for status in sorted(answers):
            described = resolved(operation["responses"][status])
            wanted = "application/fhir+json" if path.startswith("/fhir") else None
            if status >= "400" and path != "/health/ready":
                wanted = wanted or "application/problem+json"
                assert set(described["content"]) == {wanted}, (name, status)


def test_a_document_that_its_reader_has_changed_changes_no_other() -> None:
    before, changed = copy.deepcopy(DOCUMENT), openapi.document()
    for _, content in _bodies(changed):
        for example in content.get("examples", {}).values():
            if isinstance(example["value"], dict):
                example["value"].clear()
    assert openapi.document() == before


def _bodies(document: Json) -> Iterator[tuple[str, Json]]:
    for methods in document["paths"].values():
        for operation in methods.values():
            yield from operation.get("requestBody", {}).get("content", {}).items()


def test_every_body_has_an_example() -> None:
    shown = {name for name, _, _ in request_examples()}
    with_body = {name for name, (_, _, operation) in BY_ID.items() if "requestBody" in operation}
    assert shown == with_body


@pytest.mark.parametrize(("name", "media", "title"), request_examples())
async def test_an_example_is_answered_as_it_says(
    service: Service, name: str, media: str, title: str
) -> None:
    content = BY_ID[name][2]["requestBody"]["content"][media]
    example = content["examples"][title]
    run = dict(example["x-run"])
    status = run.pop("status")
    if status < 300:
        validate(content["schema"], example["value"])
    path = {**await prepare(service, name), **run.pop("path", {})}
    if media == "multipart/form-data":
        body: Json = {
            "files": {
                part: (f"{part}.csv", text.encode()) for part, text in example["value"].items()
            }
        }
    else:
        value = example["value"]
        data = value if isinstance(value, str) else json.dumps(value)
        body = {"content": data.encode(), "headers": {"Content-Type": media}}
    answer = await call(service, name, path=path, **run, **body)
    assert answer.status_code == status, answer.text
    check(name, answer)
    first = next(iter(content["examples"]))
    shown = examples.ANSWERS.get((name, status))
    if shown is not None and title == first:
        assert masked(answer.json()) == masked(shown[1])


def masked(value: Any) -> Any:
    """Without what differs from one time to the next."""
    if isinstance(value, list):
        return [masked(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("url") in VOLATILE:
        return {"url": value["url"]}
    return {key: masked(each) for key, each in value.items() if key not in VOLATILE}


WITHOUT_BODY = [
    name
    for name, (_, _, operation) in BY_ID.items()
    if not operation.get("requestBody", {}).get("required")
]


@pytest.mark.parametrize("name", WITHOUT_BODY)
async def test_an_operation_that_needs_no_body_succeeds(service: Service, name: str) -> None:
    answer = await call(service, name, path=await prepare(service, name))
    assert answer.status_code < 300, answer.text
    check(name, answer)


SECURED = [name for name, (_, _, operation) in BY_ID.items() if operation["security"]]


@pytest.mark.parametrize("name", SECURED)
async def test_without_a_token_or_its_scope_an_operation_is_refused(
    service: Service, name: str
) -> None:
    query = {"mode": "delta"} if name == "sendExtract" else None
    for claims, status in (({"exp": 1}, 401), ({"scope": "nothing"}, 403)):
        answer = await call(
            service, name, claims=claims, query=query, path={"identity": "x"}, content=b"{}"
        )
        assert answer.status_code == status, answer.text
        check(name, answer)


async def test_what_fails_is_answered_as_the_document_says(service: Service) -> None:
    service.log.away = "gone"
    for name, body in (
        ("sendBundle", {"json": examples.bundle("batch", examples.PATIENT)}),
        ("heartbeat", {}),
        ("sendLines", {"content": json.dumps(examples.PATIENT).encode()}),
        ("deleteResource", {}),
        ("erasePatients", {"json": {"patients": ["p1"]}}),
    ):
        answer = await call(service, name, **body)
        assert answer.status_code == 503, name
        check(name, answer)
    answer = await call(service, "ready")
    assert answer.status_code == 503
    check("ready", answer)
    for name, headers, body, status in (
        ("sendBundle", {"Content-Encoding": "br"}, b"{}", 415),
        ("sendBundle", {"Accept": "text/html"}, b"{}", 406),
        ("createResource", {"If-None-Exist": "a=b"}, b"{}", 400),
        ("sendLines", {"Content-Encoding": "gzip"}, b"{}", 400),
        ("sendBundle", {}, b" " * 21_000_000, 413),
    ):
        answer = await call(service, name, headers=headers, content=body)
        assert answer.status_code == status, (name, answer.text)
        check(name, answer)


async def test_the_document_is_served(service: Service) -> None:
    answer = await service.client.get("/openapi.json")
    assert answer.json() == json.loads(json.dumps(DOCUMENT))
