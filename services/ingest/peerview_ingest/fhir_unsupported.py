"""What FHIR has and ``/fhir`` has not, answered so that a client can tell why.

405 with ``Allow`` where the address takes other methods, 400 where it is an interaction of its own,
as FHIR says of conditional ones (a 5xx would be a fault of ours),
404 where FHIR knows no such address.
"""

from typing import Final

from fastapi import APIRouter, Request, Response

from peerview_common.problem import Problem
from peerview_ingest.fhir.bodies import MAPPINGS
from peerview_ingest.fhir.types import RESOURCE_TYPES

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
WRITES_ONLY: Final = "nothing can be read back from here; records go in by POST, PUT and DELETE"
CONDITIONAL_HEADERS: Final = ("if-none-exist", "if-match", "if-none-match")
CONTROLS: Final = frozenset({"_format", "_pretty", "_summary", "_elements"})
"""Query parameters that choose no resources."""

ALLOWED: Final = {"": ("POST",), "metadata": ("GET", "HEAD"), "TYPE": ("POST",),
                  "TYPE/ID": ("PUT", "DELETE")}  # fmt: skip


def add(routes: APIRouter) -> None:
    """Answer whatever no other route has taken; to be called last."""

    @routes.api_route("", methods=list(METHODS), include_in_schema=False)
    async def base(request: Request) -> Response:
        return answer(request, [])

    @routes.api_route("/{path:path}", methods=list(METHODS), include_in_schema=False)
    async def others(request: Request, path: str) -> Response:
        return answer(request, [part for part in path.split("/") if part])


def refuse_conditions(request: Request, kind: str) -> None:
    """Problem 400 for a conditional request that would keep something: what is stored cannot be
    asked about, and versions decide what counts."""
    if kind not in MAPPINGS:
        return
    for name in CONDITIONAL_HEADERS:
        if name in request.headers:
            raise Problem(
                400,
                "not-supported",
                f"{name.title()} is not supported: send the resource under its own id, with "
                "meta.lastUpdated; the newest version counts, and one sent twice counts once",
            )
    _refuse_criteria(request)


def _refuse_criteria(request: Request) -> None:
    if set(request.query_params) - CONTROLS:
        raise Problem(
            400, "not-supported", "conditional requests are not supported: name TYPE/ID in the path"
        )


def answer(request: Request, parts: list[str]) -> Response:
    """The polite answer to an address by its parts. Raises Problem for all but OPTIONS."""
    form, detail = _form(parts)
    if form is None:
        raise Problem(400 if detail else 404, "not-supported" if detail else "not-found",
                      detail or "FHIR has no such address")  # fmt: skip
    allow = {"Allow": ", ".join((*ALLOWED[form], "OPTIONS"))}
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=allow)
    if form == "TYPE" and request.method in ("PUT", "PATCH", "DELETE"):
        _refuse_criteria(request)
    reason = {
        "GET": WRITES_ONLY,
        "HEAD": WRITES_ONLY,
        "PATCH": "PATCH is not supported: send the whole resource by PUT",
    }.get(request.method, f"{request.method} is not supported here")
    raise Problem(405, "not-supported", reason, headers=allow)


def _form(parts: list[str]) -> tuple[str | None, str]:
    """The form of an address; without one, why it is not supported, or nothing."""
    for part in parts:
        if part.startswith("$"):
            return None, "operations are not supported"
    if "_history" in parts:
        return None, f"histories are not kept; {WRITES_ONLY}"
    if parts and parts[-1] == "_search":
        return None, f"searches are not supported; {WRITES_ONLY}"
    if not parts or parts == ["metadata"]:
        return "".join(parts), ""
    if parts[0] not in RESOURCE_TYPES:
        return None, ""
    if len(parts) > 2:
        return None, f"compartments are not supported; {WRITES_ONLY}"
    return "/".join(("TYPE", "ID")[: len(parts)]), ""
