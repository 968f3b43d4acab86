"""Answers in FHIR's words: OperationOutcome, batch-response, CapabilityStatement."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fastapi.responses import Response
from msgspec import json

from peerview_common.days import iso_millis
from peerview_common.facts import FHIR_NAMES
from peerview_ingest.fhir import Issue, Outcome, Read
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
    kind: str, receipt: SubmissionReceipt, reads: Sequence[tuple[int | None, Read]]
) -> dict[str, Any]:
    """One entry for each entry, in order, with an outcome where there is something to say."""
    entries = []
    for _, read in reads:
        response: dict[str, Any] = {"status": STATUS[read.outcome]}
        if read.issues:
            response["outcome"] = outcome(read.issues)
        entries.append({"response": response})
    return {
        "resourceType": "Bundle",
        "type": "transaction-response" if kind == "transaction" else "batch-response",
        "timestamp": iso_millis(receipt.received),
        "meta": {"extension": [receipt_extension(receipt)]},
        "entry": entries,
    }


def single_response(receipt: SubmissionReceipt, read: Read) -> dict[str, Any]:
    body = outcome(read.issues)
    return {**body, "meta": {"extension": [receipt_extension(receipt)]}}


def capability(version: str) -> dict[str, Any]:
    """What ``/fhir`` takes: writes only; nothing can be read back."""
    interactions = [{"code": code} for code in ("create", "update", "delete")]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-04-01",
        "kind": "instance",
        "software": {"name": "Peerview ingest", "version": version},
        "implementation": {"description": "Takes a practice's records; gives nothing back."},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [
            {
                "mode": "server",
                "security": {"description": "OAuth 2.0 bearer token, scope ingest:write"},
                "interaction": [{"code": "batch"}, {"code": "transaction"}],
                "resource": [
                    {"type": name, "interaction": interactions, "versioning": "no-version"}
                    for name in sorted([*FHIR_NAMES, "Organization"])
                ],
            }
        ],
    }
