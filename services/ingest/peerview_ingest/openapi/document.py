"""The OpenAPI document: what FastAPI knows of the routes, and what the tables here add."""

import warnings
from copy import deepcopy
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from peerview_ingest.answers import MEDIA_TYPE as FHIR
from peerview_ingest.fhir.types import RESOURCE_TYPES
from peerview_ingest.openapi import examples
from peerview_ingest.openapi.operations import (
    ALWAYS,
    EVERYWHERE,
    FAILURE_HEADERS,
    FAILURES,
    FHIR_TOO,
    HEADERS,
    OPERATIONS,
    PARAMETERS,
    PROBLEM,
    WITH_BODY,
    Operation,
)
from peerview_ingest.openapi.shapes import Schema, ref, shapes

Json = dict[str, Any]

SCHEME: Final = "token"
_PATH_PARAMETERS: Final[dict[str, Json]] = {
    "kind": {
        "description": "A resource type of FHIR R4.",
        "schema": {"enum": sorted(RESOURCE_TYPES - {"Bundle"})},
    },
    "id_text": {
        "description": "The resource's logical id.",
        "schema": {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"},
    },
    "identity": {"description": "The upload's id.", "schema": {"type": "string"}},
}


def install(app: FastAPI) -> None:
    """Have ``app`` serve and know the whole document."""

    def openapi() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def document(app: FastAPI) -> Json:
    with warnings.catch_warnings():
        # one function may serve several methods; operations get names of their own below
        warnings.filterwarnings("ignore", "Duplicate Operation ID", UserWarning)
        found = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
    components = found.setdefault("components", {})
    components["schemas"] = shapes()
    components["securitySchemes"] = {
        SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An OAuth 2.0 access token of the practice's or supplier's; its claim "
            "`practices` names the practices, `scope` what may be done.",
        }
    }
    components["headers"] = HEADERS
    components["parameters"] = {
        name: {"name": name, "in": "header", "required": False, **parameter}
        for name, parameter in PARAMETERS.items()
    }
    components["responses"] = {
        f"{family}{status}": _failure(status, media)
        for family, media in (("Fhir", FHIR), ("Problem", PROBLEM))
        for status in FAILURES
    }
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            described = OPERATIONS.get((method.upper(), path))
            if described is not None:
                _describe(path, operation, described)
    # its parts are shared with other documents, and readers put marks into what they are given
    return deepcopy(found)


def _describe(path: str, operation: Json, described: Operation) -> None:
    operation["operationId"] = described.id
    for parameter in operation.get("parameters", []):
        parameter |= _PATH_PARAMETERS.get(parameter["name"], {})
        example = examples.PARAMETERS.get((described.id, parameter["name"]))
        if example is not None:
            parameter["example"] = example
    operation.setdefault("parameters", []).extend(
        {"$ref": f"#/components/parameters/{name}"} for name in described.headers
    )
    operation["security"] = [] if described.scopes is None else [{SCHEME: []}]
    if described.scopes:
        operation["x-scopes"] = list(described.scopes)
    if described.body:
        operation["requestBody"] = _body(operation.get("requestBody", {}), described)
    family = "Fhir" if path.startswith("/fhir") else "Problem"
    operation["responses"] = {
        str(status): _answer(answer.description, answer.content, answer.headers, described, status)
        for status, answer in described.answers.items()
    } | {
        str(status): {"$ref": f"#/components/responses/{family}{status}"}
        for status in sorted(_failures(path, described))
        if status not in described.answers
    }


def _failures(path: str, described: Operation) -> set[int]:
    found = set(described.fails)
    if described.scopes is not None:
        found |= set(EVERYWHERE)
        if path.startswith("/fhir"):
            found |= set(FHIR_TOO)
    if described.body:
        found |= set(WITH_BODY)
    return found


def _body(given: Json, described: Operation) -> Json:
    content: Json = {}
    for media, schema in described.body.items():
        told = given.get("content", {}).get(media, {}).get("schema", {})
        content[media] = {"schema": schema or told}
        shown = examples.of(described.id, media)
        if shown:
            content[media]["examples"] = shown
    return {"required": described.body_required, "content": content}


def _answer(
    description: str,
    content: dict[str, Schema],
    headers: tuple[str, ...],
    described: Operation,
    status: int,
) -> Json:
    answer: Json = {"description": description}
    if content:
        answer["content"] = {media: {"schema": schema} for media, schema in content.items()}
        shown = examples.ANSWERS.get((described.id, status))
        if shown is not None:
            media, value = shown
            answer["content"][media]["example"] = value
    if headers:
        answer["headers"] = {name: _header(status, name) for name in headers}
    return answer


def _failure(status: int, media: str) -> Json:
    name = "OperationOutcome" if media == FHIR else "Problem"
    answer: Json = {
        "description": FAILURES[status],
        "content": {media: {"schema": ref(name)}},
    }
    headers = FAILURE_HEADERS.get(status, ())
    if headers:
        answer["headers"] = {name: _header(status, name) for name in headers}
    return answer


def _header(status: int, name: str) -> Json:
    if (status, name) in ALWAYS:
        return {**HEADERS[name], "required": True}
    return {"$ref": f"#/components/headers/{name}"}
