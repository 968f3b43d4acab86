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
        # a name that is none of the fields' is the sender's text, and is not repeated
        places = {str(found["loc"][0]) for found in error.errors() if found["loc"]}
        known = sorted(places & kind.model_fields.keys()) or ["the body"]
        raise Problem(400, "structure", f"not as described: {', '.join(known)}") from None


def described(kind: type[BaseModel]) -> dict[str, Any]:
    """For OpenAPI: what the body is like."""
    content = {"application/json": {"schema": kind.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
