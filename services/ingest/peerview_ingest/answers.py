"""Answers in FHIR's words: OperationOutcome, batch-response, and HTTP's headers."""

from collections.abc import Iterable, Mapping, Sequence
from email.utils import format_datetime
from typing import Any, Final

from fastapi.responses import Response
from msgspec import json

from peerview_common.days import from_millis, iso_millis
from peerview_ingest.fhir import Issue, Outcome, Read
from peerview_ingest.fhir.keys import holds_nhs_number
from peerview_ingest.receipt import COUNTS, SubmissionReceipt

MEDIA_TYPE: Final = "application/fhir+json"
RECEIPT: Final = "urn:peerview:receipt"
STATUS: Final = {
    Outcome.ACCEPTED: "202 Accepted",
    Outcome.DROPPED: "200 OK",
    Outcome.REJECTED: "422 Unprocessable Entity",
}


def encoded(body: Mapping[str, Any]) -> bytes:
    return json.encode(body)


def fhir(
    body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(encoded(body), status, dict(headers or {}), MEDIA_TYPE)


def outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """An OperationOutcome; it must have an issue, so "all well" is one."""
    found = [issue.json() for issue in issues]
    well = {"severity": "information", "code": "informational", "diagnostics": "accepted"}
    return {"resourceType": "OperationOutcome", "issue": found or [well]}


def failure(code: str, diagnostics: str, place: str | None = None) -> dict[str, Any]:
    issue: dict[str, Any] = {"severity": "error", "code": code, "diagnostics": diagnostics}
    if place is not None:
        issue["expression"] = [place]
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def receipt_extension(receipt: SubmissionReceipt) -> dict[str, Any]:
    """The receipt, as an extension of ``meta``."""
    parts: list[dict[str, Any]] = [{"url": "submission", "valueString": receipt.submission}]
    parts.append({"url": "received", "valueInstant": iso_millis(receipt.received)})
    parts.extend(
        {"url": name.replace("_", "-"), "valueInteger": getattr(receipt, name)} for name in COUNTS
    )
    parts.extend(
        {
            "url": "position",
            "extension": [
                {"url": "partition", "valueInteger": each.partition},
                {"url": "offset", "valueDecimal": each.offset},
            ],
        }
        for each in receipt.positions
    )
    return {"url": RECEIPT, "extension": parts}


def headers(receipt: SubmissionReceipt) -> dict[str, str]:
    """The receipt in short, for programs that read no FHIR."""
    return {
        "Peerview-Submission": receipt.submission,
        "Peerview-Receipt": (
            f"accepted={receipt.accepted}, rejected={receipt.rejected}, "
            f"dropped={receipt.dropped}, unchanged={receipt.unchanged}"
        ),
        "Peerview-Positions": ", ".join(f"{p.partition}@{p.offset}" for p in receipt.positions),
    }


def batch_response(
    kind: str,
    receipt: SubmissionReceipt,
    reads: Sequence[tuple[int | None, Read]],
    *,
    minimal: bool = False,
) -> dict[str, Any]:
    """One entry for each entry, in order, with an outcome where there is something to say;
    ``minimal`` leaves out what is no error."""
    entries = []
    for _, read in reads:
        response: dict[str, Any] = {"status": STATUS[read.outcome], **_version(read)}
        if read.issues and not (minimal and read.outcome is not Outcome.REJECTED):
            response["outcome"] = outcome(read.issues)
        entries.append({"response": response})
    return {
        "resourceType": "Bundle",
        "type": "transaction-response" if kind == "transaction" else "batch-response",
        "timestamp": iso_millis(receipt.received),
        "meta": {"extension": [receipt_extension(receipt)]},
        "entry": entries,
    }


def _version(read: Read) -> dict[str, str]:
    """Which version of what was taken note of."""
    found: dict[str, str] = {}
    if read.id is not None and read.type is not None:
        found["location"] = f"{read.type}/{read.id}"
    if read.fact is not None:
        version = str(read.fact.version)
        # digits that may be a person's number are not said again, not even to who sent them
        if read.fact.version >= 0 and not holds_nhs_number(version):
            found["etag"] = f'W/"{version}"'
        found["lastModified"] = iso_millis(read.fact.stamp)
    return found


def version_headers(read: Read, base: str) -> dict[str, str]:
    """The same for one resource, as HTTP says it. ``base`` is the path of ``/fhir``."""
    said = _version(read)
    found = {}
    if "location" in said:
        found["Location"] = f"{base}/{said['location']}"
    if "etag" in said:
        found["ETag"] = said["etag"]
    if read.fact is not None:
        found["Last-Modified"] = format_datetime(from_millis(read.fact.stamp), usegmt=True)
    return found


def single_response(receipt: SubmissionReceipt, read: Read) -> dict[str, Any]:
    body = outcome(read.issues)
    return {**body, "meta": {"extension": [receipt_extension(receipt)]}}
