"""What a FHIR request and its answer are made of: JSON, of R4, and nothing else."""

from typing import Final, Literal

from fastapi import Request

from peerview_common.problem import Problem
from peerview_ingest import answers

JSON_TYPES: Final = frozenset(
    {"application/fhir+json", "application/json", "application/json+fhir", "text/json"}
)
ANY: Final = frozenset({"*/*", "application/*"})
FORMATS: Final = JSON_TYPES | {"json"}
VERSIONS: Final = frozenset({"4.0", "4.0.1"})
CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii"})

Returns = Literal["minimal", "OperationOutcome"]


def check_answer(request: Request) -> None:
    """Problem 406 where the caller takes no JSON of R4. ``_format`` goes before ``Accept``."""
    # a plus sign that nobody encoded arrives as a space
    wanted = [text.replace(" ", "+").lower() for text in request.query_params.getlist("_format")]
    if wanted:
        if wanted[-1].partition(";")[0] not in FORMATS:
            raise Problem(406, "not-supported", f"_format can be json alone: {ONLY}")
        return
    given = ",".join(request.headers.getlist("accept"))
    if given.strip() and not any(_acceptable(each) for each in given.split(",")):
        raise Problem(406, "not-supported", f"Accept names nothing that can be given: {ONLY}")


def check_body(request: Request) -> None:
    """Problem 415 where the body says that it is something else. One that says nothing is read."""
    given = request.headers.get("content-type", "").strip()
    if not given:
        return
    kind, parameters = _parted(given)
    headers = {"Accept-Post": answers.MEDIA_TYPE}
    if kind not in JSON_TYPES:
        hint = "; lines go to POST /v1/bulk" if "ndjson" in kind else ""
        raise Problem(
            415, "not-supported", f"the Content-Type must be JSON: {ONLY}{hint}", headers=headers
        )
    if parameters.get("charset", "utf-8").lower() not in CHARSETS:
        raise Problem(415, "not-supported", "JSON is UTF-8: the charset must be", headers=headers)
    if parameters.get("fhirversion", "4.0") not in VERSIONS:
        raise Problem(415, "not-supported", "fhirVersion must be 4.0", headers=headers)


ONLY: Final = "application/fhir+json, of fhirVersion 4.0"


def preferred(request: Request) -> Returns | None:
    """What ``Prefer: return=`` asks for; None where it asks for nothing, or for the resource, which
    is not given back."""
    for each in ",".join(request.headers.getlist("prefer")).replace(";", ",").split(","):
        name, _, value = each.partition("=")
        if name.strip().lower() == "return":
            asked = value.strip().strip('"').lower()
            if asked == "minimal":
                return "minimal"
            if asked == "operationoutcome":
                return "OperationOutcome"
    return None


def _acceptable(text: str) -> bool:
    kind, parameters = _parted(text)
    if kind not in JSON_TYPES and kind not in ANY:
        return False
    try:
        quality = float(parameters.get("q", "1"))
    except ValueError:
        quality = 1.0
    return quality > 0 and parameters.get("fhirversion", "4.0") in VERSIONS


def _parted(text: str) -> tuple[str, dict[str, str]]:
    kind, *rest = text.split(";")
    pairs = (each.partition("=") for each in rest)
    return kind.strip().lower(), {
        name.strip().lower(): value.strip().strip('"') for name, _, value in pairs
    }
