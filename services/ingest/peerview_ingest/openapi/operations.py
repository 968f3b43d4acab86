"""Every operation: who may call it, what it takes, and what it answers."""

from dataclasses import dataclass, field
from typing import Any, Final

from peerview_ingest.answers import MEDIA_TYPE as FHIR
from peerview_ingest.bulk.report import MEDIA_TYPE as NDJSON
from peerview_ingest.extracts.routes import CONFIRM
from peerview_ingest.openapi.shapes import Schema, ref
from peerview_ingest.senders import OPERATE, PATIENTS, PSEUDONYMS, SCOPE

JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"
RECEIPT_HEADERS: Final = ("Peerview-Submission", "Peerview-Receipt", "Peerview-Positions")

EVERYWHERE: Final = (400, 401, 403, 429, 500, 503)
"""Of whatever needs a token."""
WITH_BODY: Final = (408, 413, 415)
FHIR_TOO: Final = (404, 405, 406, 422)


@dataclass(frozen=True)
class Answer:
    description: str
    content: dict[str, Schema] = field(default_factory=dict)
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operation:
    id: str
    answers: dict[int, Answer]
    scopes: tuple[str, ...] | None = (SCOPE,)
    """One of these is needed; None: everybody may."""
    body: dict[str, Schema] = field(default_factory=dict)
    body_required: bool = True
    headers: tuple[str, ...] = ("ODS-Code",)
    fails: tuple[int, ...] = ()
    """Beside those of every operation of its kind."""


def _json(name: str, description: str, headers: tuple[str, ...] = ()) -> Answer:
    return Answer(description, {JSON: ref(name)}, headers)


_SINGLE: Final = Answer(
    "Taken, or dropped where no indicator needs it: the outcome says so. With "
    "`Prefer: return=minimal` there is no body.",
    {FHIR: ref("OperationOutcome")},
    (*RECEIPT_HEADERS, "Location", "ETag", "Last-Modified", "Preference-Applied"),
)
_FHIR_HEADERS: Final = ("ODS-Code", "Idempotency-Key", "Prefer", "traceparent")
_SENT: Final = ("Content-Encoding",)
_LINES: Final[dict[str, Schema]] = {
    NDJSON: {"type": "string", "description": "a resource or Bundle a line"}
}


def _bodies(name: str) -> dict[str, Schema]:
    return {FHIR: ref(name), JSON: ref(name)}


OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("GET", "/fhir/metadata"): Operation(
        "capabilities",
        {200: Answer("What /fhir takes.", {FHIR: ref("CapabilityStatement")})},
        scopes=None,
        headers=(),
        fails=(406,),
    ),
    ("HEAD", "/fhir/metadata"): Operation(
        "capabilitiesHead",
        {200: Answer("What /fhir takes, without a body.")},
        scopes=None,
        headers=(),
        fails=(406,),
    ),
    ("POST", "/fhir"): Operation(
        "sendBundle",
        {
            202: Answer(
                "Taken: a transaction as a whole, any other Bundle entry by entry.",
                {FHIR: ref("ResponseBundle")},
                (*RECEIPT_HEADERS, "Preference-Applied", "Idempotent-Replayed"),
            )
        },
        body=_bodies("Bundle"),
        headers=(*_FHIR_HEADERS, *_SENT),
    ),
    ("POST", "/fhir/{kind}"): Operation(
        "createResource",
        {202: _SINGLE},
        body=_bodies("Resource"),
        headers=(*_FHIR_HEADERS, *_SENT),
    ),
    ("PUT", "/fhir/{kind}/{id_text}"): Operation(
        "updateResource",
        {202: _SINGLE},
        body=_bodies("Resource"),
        headers=(*_FHIR_HEADERS, *_SENT),
    ),
    ("DELETE", "/fhir/{kind}/{id_text}"): Operation(
        "deleteResource", {202: _SINGLE}, headers=_FHIR_HEADERS
    ),
    ("POST", "/v1/heartbeat"): Operation(
        "heartbeat",
        {202: _json("Receipt", "Noted in the log.", ("Idempotent-Replayed",))},
        headers=("ODS-Code", "Idempotency-Key", "traceparent"),
        fails=(422,),
    ),
    ("POST", "/v1/bulk"): Operation(
        "sendLines",
        {
            202: Answer(
                "All lines are committed. With `Accept: application/x-ndjson` the report comes as "
                "it comes about, the receipt last; a failure on the way is then its last line.",
                {JSON: ref("Receipt"), NDJSON: {"type": "string"}},
            )
        },
        body=_LINES,
        headers=("ODS-Code", "traceparent", *_SENT),
        fails=(404, 409),
    ),
    ("POST", "/v1/uploads"): Operation(
        "beginUpload",
        {201: _json("Upload", "It has begun.", ("Location",))},
        body={JSON: {}},
        body_required=False,
        fails=(409,),
    ),
    ("GET", "/v1/uploads/{identity}"): Operation(
        "showUpload", {200: _json("Upload", "How far it is.")}, fails=(404,)
    ),
    ("DELETE", "/v1/uploads/{identity}"): Operation(
        "forgetUpload", {204: Answer("Forgotten; its records stay.")}, fails=(404, 409)
    ),
    ("GET", "/v1/uploads/{identity}/report"): Operation(
        "readUploadReport",
        {
            200: Answer(
                "What was refused, a line each, and a summary.", {NDJSON: {"type": "string"}}
            )
        },
        fails=(404,),
    ),
    ("POST", "/v1/uploads/{identity}/complete"): Operation(
        "completeUpload",
        {200: _json("Upload", "It has ended.")},
        body={JSON: {}},
        body_required=False,
        fails=(404, 409),
    ),
    ("POST", "/v1/pseudonyms"): Operation(
        "pseudonyms",
        {200: _json("Pseudonyms", "In the order of the ids.")},
        scopes=(PSEUDONYMS,),
        body={JSON: {}},
    ),
    ("POST", "/v1/erasures"): Operation(
        "erasePatients",
        {202: _json("Erased", "Nothing of them is left to count.")},
        scopes=(PATIENTS,),
        body={JSON: {}},
    ),
    ("PUT", "/v1/objections"): Operation(
        "setObjections",
        {202: _json("ObjectionsSet", "Noted in the log.")},
        scopes=(PATIENTS,),
        body={JSON: {}},
    ),
    ("POST", "/v1/rekeyings/{ods}"): Operation(
        "beginRekeying",
        {202: _json("Rekeying", "What comes from now on comes under new keys.")},
        scopes=(OPERATE,),
        headers=(),
        fails=(404, 409),
    ),
    ("GET", "/v1/rekeyings/{ods}"): Operation(
        "showRekeying",
        {200: _json("Rekeying", "How far it is.")},
        scopes=(OPERATE,),
        headers=(),
        fails=(404,),
    ),
    ("DELETE", "/v1/rekeyings/{ods}"): Operation(
        "cancelRekeying",
        {200: _json("Rekeying", "The former keys go on.")},
        scopes=(OPERATE,),
        headers=(),
        fails=(404, 409),
    ),
    ("POST", "/v1/rekeyings/{ods}/finish"): Operation(
        "finishRekeying",
        {200: _json("Rekeying", "Worked on; done where `phase` is `done`.")},
        scopes=(OPERATE,),
        body={JSON: {}},
        body_required=False,
        headers=(),
        fails=(404, 409),
    ),
    ("PUT", "/v1/extracts/{day}"): Operation(
        "sendExtract",
        {202: _json("ExtractReport", "Taken, table by table; `held` where a person must look.")},
        body={
            "multipart/form-data": {
                "type": "object",
                "additionalProperties": {"type": "string", "format": "binary"},
                "description": "a part a table, named for it",
            }
        },
        headers=("ODS-Code", "traceparent", *_SENT),
        fails=(409, 422),
    ),
    ("GET", "/v1/extracts"): Operation(
        "listExtracts",
        {200: _json("ExtractList", "The newest first.")},
        scopes=(SCOPE, CONFIRM),
    ),
    ("POST", "/v1/extracts/{day}/confirm"): Operation(
        "confirmExtract",
        {202: _json("ExtractDecision", "What was held is deleted.")},
        scopes=(CONFIRM,),
        fails=(404, 409),
    ),
    ("DELETE", "/v1/extracts/{day}/held"): Operation(
        "rejectExtract",
        {200: _json("ExtractDecision", "Nothing is deleted.")},
        scopes=(CONFIRM,),
        fails=(404, 409),
    ),
    ("GET", "/health/live"): Operation(
        "live", {200: _json("Live", "The process answers.")}, scopes=None, headers=()
    ),
    ("GET", "/health/ready"): Operation(
        "ready",
        {
            200: _json("Ready", "Everything that it needs answers."),
            503: _json("Ready", "What is wrong.", ("Retry-After",)),
        },
        scopes=None,
        headers=(),
    ),
}

FAILURES: Final[dict[int, str]] = {
    400: "The request cannot be read as what it should be, is not supported, or names no practice.",
    401: "No valid token.",
    403: "The token lacks a scope, a role or the practice, or the practice has opted out.",
    404: "There is no such thing here.",
    405: "The address does not take this method.",
    406: "Nothing that can be given is accepted: JSON of FHIR R4 alone.",
    408: "The body arrives too slowly.",
    409: "It does not fit the state that things are in.",
    413: "Too large: send it in parts.",
    415: "The body's type or encoding is not taken.",
    422: "Refused: the places say why.",
    429: "Too much: of this caller, or of all together. Send it again after Retry-After.",
    500: "A fault of the service; it is logged, and says nothing of what was sent.",
    503: "The log, the database or the token issuer does not answer, or the service is stopping. "
    "Sending it again is safe.",
}
FAILURE_HEADERS: Final[dict[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    403: ("WWW-Authenticate",),
    405: ("Allow",),
    409: ("Retry-After",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
ALWAYS: Final = frozenset({(401, "WWW-Authenticate"), (429, "Retry-After"), (405, "Allow")})
"""Headers that are always there."""

HEADERS: Final[dict[str, Schema]] = {
    "WWW-Authenticate": {"schema": {"type": "string", "pattern": "^Bearer"},
                         "description": "RFC 6750: what is wrong with the token."},
    "Retry-After": {"schema": {"type": "string", "pattern": "^[0-9]+$"},
                    "description": "Seconds."},
    "Allow": {"schema": {"type": "string"}},
    "Location": {"schema": {"type": "string"}},
    "ETag": {"schema": {"type": "string"}},
    "Last-Modified": {"schema": {"type": "string"}},
    "Preference-Applied": {"schema": {"type": "string"}},
    "Idempotent-Replayed": {"schema": {"const": "true"},
                            "description": "This is the answer of the first time."},
    "Peerview-Submission": {"schema": {"type": "string"}},
    "Peerview-Receipt": {"schema": {"type": "string"},
                         "description": "accepted=, rejected=, dropped=, unchanged="},
    "Peerview-Positions": {"schema": {"type": "string"},
                           "description": "partition@offset in practice.changes"},
}  # fmt: skip

PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "ODS-Code": {
        "description": "Which practice, where the token covers several.",
        "schema": {"type": "string", "pattern": "^[A-Z0-9]{3,10}$"},
    },
    "Idempotency-Key": {
        "description": "Sent again with the same key, a request hears its first answer for a week.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    },
    "Prefer": {
        "description": "return=minimal or return=OperationOutcome",
        "schema": {"type": "string"},
    },
    "traceparent": {
        "description": "W3C trace context; it is passed on with the records.",
        "schema": {"type": "string"},
    },
    "Content-Encoding": {
        "description": "How the body is packed.",
        "schema": {"enum": ["identity", "gzip", "zstd"]},
    },
}
