"""Errors as people and programs can use them: ``application/problem+json`` (RFC 9457)."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from peerview_common import metrics
from peerview_common.auth import AuthError
from peerview_common.ids import NETWORK_PATTERN, ODS_PATTERN

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An answer that is not the one asked for. ``code`` is a stable word for programs."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.extra = extra

    def response(self) -> JSONResponse:
        body = {
            "type": f"urn:peerview:problem:{self.code}",
            "title": self.code.replace("-", " "),
            "status": self.status,
            "detail": self.detail,
            **self.extra,
        }
        return JSONResponse(body, self.status, headers=self.headers, media_type=MEDIA_TYPE)


def from_auth(error: AuthError) -> Problem:
    """The answer to a caller who is not let in, with the challenge of RFC 6750."""
    metrics.auth_refusals.labels(error.kind).inc()
    if error.status == 503:
        return Problem(503, "issuer-away", error.reason, headers={"Retry-After": "5"})
    code = "not-authenticated" if error.status == 401 else "not-allowed"
    return Problem(
        error.status, code, error.reason, headers={"WWW-Authenticate": _challenge(error)}
    )


def _challenge(error: AuthError) -> str:
    if error.kind == "no-token":
        return 'Bearer realm="peerview"'
    word = "invalid_token" if error.status == 401 else "insufficient_scope"
    return f'Bearer realm="peerview", error="{word}", error_description="{error.reason}"'


_PATTERNS: Final = {
    ODS_PATTERN: "is not an organisation code: 3 to 10 capital letters and digits",
    NETWORK_PATTERN: "is not an id: small letters, digits and hyphens",
}


def _fault(found: Mapping[str, Any]) -> dict[str, str]:
    """Where a request is wrong, and how, in words for the people who sent it."""
    place, reason = ".".join(str(part) for part in found["loc"]), str(found["msg"])
    match found["type"]:
        case "json_invalid":
            # the last part of its place counts characters
            where = found["loc"][-1]
            place = "body"
            reason = f"is not JSON: {found.get('ctx', {}).get('error', 'no value')} at {where}"
        case "missing":
            reason = "is missing"
        case "extra_forbidden":
            reason = "is not known here"
        case "string_pattern_mismatch":
            reason = _PATTERNS.get(found.get("ctx", {}).get("pattern", ""), reason)
    return {"place": place, "reason": reason}


def install(app: FastAPI) -> None:
    """Make every error of ``app`` a problem document."""

    @app.exception_handler(Problem)
    async def _problem(_: Request, error: Problem) -> JSONResponse:
        return error.response()

    @app.exception_handler(AuthError)
    async def _auth(_: Request, error: AuthError) -> JSONResponse:
        return from_auth(error).response()

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "refused")
        return Problem(
            error.status_code, code, str(error.detail), headers=dict(error.headers or {})
        ).response()

    @app.exception_handler(RequestValidationError)
    async def _validation(_: Request, error: RequestValidationError) -> JSONResponse:
        places = [_fault(found) for found in error.errors()]
        return Problem(422, "not-valid", "the request is not valid", errors=places).response()
