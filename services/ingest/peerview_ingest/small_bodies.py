"""Small JSON bodies of operations: bounded, checked after the caller, and never quoted."""

from typing import Any, Final, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from peerview_common.problem import Problem
from peerview_ingest.body import whole
from peerview_ingest.parsing import NotJsonError, parse

MAX_BYTES: Final = 1_000_000

M = TypeVar("M", bound=BaseModel)


async def small_body(request: Request, kind: type[M]) -> M:
    """The request's body as ``kind``. Raises Problem: 400, or 413 for a large one."""
    data = await whole(request, MAX_BYTES)
    try:
        return kind.model_validate(parse(data) if data else {}, strict=True)
    except NotJsonError as error:
        raise Problem(400, "structure", str(error)) from None
    except ValidationError as error:
        raise Problem(400, "structure", wrong(error, kind)) from None


def wrong(error: ValidationError, kind: type[BaseModel]) -> str:
    """What is wrong with a body that is no ``kind``: its own fields by their names, and what they
    must be. A name that is none of theirs is the sender's text, and is not repeated."""
    told: dict[str, str] = {}
    for found in error.errors(include_input=False, include_context=False, include_url=False):
        name = str(found["loc"][0]) if found["loc"] else ""
        if name in kind.model_fields:
            told.setdefault(name, f"{name}: {found['msg']}")
        else:
            told.setdefault("", "the body is no JSON object, or has a field that is not described")
    return "; ".join(told.values())


def described(kind: type[BaseModel]) -> dict[str, Any]:
    """For OpenAPI: what the body is like."""
    content = {"application/json": {"schema": kind.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
