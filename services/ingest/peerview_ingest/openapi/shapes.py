"""The schemas of bodies and answers, by name. What an answer may hold beside these may grow."""

from typing import Any, Final

from peerview_common.ids import ODS_PATTERN
from peerview_ingest.answers import RECEIPT
from peerview_ingest.fhir.bodies import MAPPINGS
from peerview_ingest.fhir_routes import BUNDLE_TYPES
from peerview_ingest.receipt import COUNTS

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
FLAG: Final[Schema] = {"type": "boolean"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
INSTANT: Final[Schema] = {"type": "string", "format": "date-time"}
DAY: Final[Schema] = {"type": "string", "format": "date"}
ODS: Final[Schema] = {"type": "string", "pattern": ODS_PATTERN}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def a_list(of: Schema, **rest: Any) -> Schema:
    return {"type": "array", "items": of, **rest}


def maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def an_object(properties: dict[str, Schema], optional: tuple[str, ...] = (), **rest: Any) -> Schema:
    required = [name for name in properties if name not in optional]
    found: Schema = {"type": "object", "properties": properties, **rest}
    return found | ({"required": required} if required else {})


def counts() -> dict[str, Schema]:
    return dict.fromkeys(COUNTS, COUNT)


def shapes() -> dict[str, Schema]:
    position = an_object({"partition": COUNT, "offset": COUNT})
    reason = an_object({"line": COUNT, "place": TEXT, "code": TEXT, "reason": TEXT}, ("line",))
    cell_reason = an_object({"line": maybe(COUNT), "column": TEXT, "code": TEXT, "reason": TEXT})
    table = an_object(
        {
            **dict.fromkeys(("rows", "accepted", "unchanged", "dropped", "rejected"), COUNT),
            "vanished": an_object(
                dict.fromkeys(("records", "of", "patients", "of_patients"), COUNT)
            ),
            "rejections": a_list(cell_reason, maxItems=100),
            "warnings": a_list(cell_reason, maxItems=100),
        },
        ("vanished",),
    )
    return {
        "Resource": an_object(
            {
                "resourceType": {"type": "string", "examples": sorted(MAPPINGS)},
                "id": {"type": "string"},
                "meta": {"type": "object"},
            },
            ("id", "meta"),
            description="A resource of FHIR R4. What no indicator needs is dropped unread.",
        ),
        "Bundle": an_object(
            {
                "resourceType": {"const": "Bundle"},
                "type": {"enum": sorted(BUNDLE_TYPES)},
                "entry": a_list(
                    an_object(
                        {
                            "fullUrl": TEXT,
                            "resource": ref("Resource"),
                            "request": an_object({"method": TEXT, "url": TEXT}),
                        },
                        ("fullUrl", "resource", "request"),
                    )
                ),
            },
            ("entry",),
        ),
        "OperationOutcome": an_object(
            {
                "resourceType": {"const": "OperationOutcome"},
                "issue": a_list(ref("Issue"), minItems=1),
                "meta": ref("ReceiptMeta"),
            },
            ("meta",),
        ),
        "Issue": an_object(
            {
                "severity": {"enum": ["fatal", "error", "warning", "information"]},
                "code": TEXT,
                "diagnostics": TEXT,
                "expression": a_list(
                    TEXT, description="The place, such as Bundle.entry[3].resource.onsetDateTime"
                ),
            },
            ("expression",),
        ),
        "ReceiptMeta": an_object(
            {
                "extension": a_list(
                    an_object({"url": {"const": RECEIPT}, "extension": a_list({"type": "object"})}),
                    minItems=1,
                )
            },
            description="The receipt as an extension of meta: submission, received, the counts, "
            "and positions in practice.changes.",
        ),
        "ResponseBundle": an_object(
            {
                "resourceType": {"const": "Bundle"},
                "type": {"enum": ["batch-response", "transaction-response"]},
                "timestamp": INSTANT,
                "meta": ref("ReceiptMeta"),
                "entry": a_list(
                    an_object(
                        {
                            "response": an_object(
                                {
                                    "status": {
                                        "enum": [
                                            "200 OK",
                                            "202 Accepted",
                                            "422 Unprocessable Entity",
                                        ]
                                    },
                                    "outcome": ref("OperationOutcome"),
                                },
                                ("outcome",),
                            )
                        }
                    )
                ),
            }
        ),
        "CapabilityStatement": an_object(
            {
                "resourceType": {"const": "CapabilityStatement"},
                "fhirVersion": {"const": "4.0.1"},
                "rest": a_list({"type": "object"}),
            }
        ),
        "Problem": an_object(
            {
                "type": {"type": "string", "pattern": "^urn:peerview:problem:[a-z-]+$"},
                "title": TEXT,
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                "detail": TEXT,
            },
            description="RFC 9457. No value that was sent is ever repeated.",
        ),
        "Position": position,
        "Receipt": an_object(
            {
                "submission": TEXT,
                "practice": ODS,
                "source": TEXT,
                "received": INSTANT,
                **counts(),
                "positions": a_list(ref("Position")),
                "rejections": a_list(reason, maxItems=100),
                "warnings": a_list(reason, maxItems=100),
                "resend": TEXT,
                "upload": TEXT,
                "next_line": {"type": "integer", "minimum": 1},
            },
            ("resend", "upload", "next_line"),
            description="accepted + rejected + dropped is the number of resources.",
        ),
        "Upload": an_object(
            {
                "upload": TEXT,
                "state": {"enum": ["open", "completed"]},
                "practice": ODS,
                "source": TEXT,
                "full": FLAG,
                "code_list": TEXT,
                "lines": maybe(COUNT),
                "next_line": {"type": "integer", "minimum": 1},
                "sending": FLAG,
                **counts(),
                "refusals": COUNT,
                "position": maybe(ref("Position")),
                "created": INSTANT,
                "expires": INSTANT,
                "completed": maybe(INSTANT),
                "backfill_completed": FLAG,
                "waits_for": a_list(TEXT),
            },
            ("waits_for",),
        ),
        "Pseudonyms": an_object(
            {
                "practice": ODS,
                "pseudonyms": a_list(
                    a_list({"type": "string", "pattern": "^[0-9a-f]{32}$"}),
                    description="Of each id, its pseudonyms: two while the practice is re-keyed.",
                ),
            }
        ),
        "Erased": an_object({"practice": ODS, "erased": COUNT}),
        "ObjectionsSet": an_object(
            {"practice": ODS, "objections": COUNT, "opted_in": COUNT, "resend": TEXT}, ("resend",)
        ),
        "Rekeying": an_object(
            {
                "practice": ODS,
                "version": COUNT,
                "phase": TEXT,
                "began": INSTANT,
                "ended": maybe(INSTANT),
                **dict.fromkeys(("patients", "matched", "unmatched", "joined", "emptied"), COUNT),
            }
        ),
        "ExtractReport": an_object(
            {
                "date": DAY,
                "mode": {"enum": ["full", "delta"]},
                "run": COUNT,
                "practice": ODS,
                "source": TEXT,
                "mapping": TEXT,
                "submission": TEXT,
                "state": {"enum": ["complete", "held"]},
                "tables": {"type": "object", "additionalProperties": table},
                "objections": COUNT,
                "opted_in": COUNT,
                "positions": a_list(ref("Position")),
            }
        ),
        "ExtractList": an_object(
            {
                "extracts": a_list(
                    an_object(
                        {
                            "date": DAY,
                            "mode": {"enum": ["full", "delta"]},
                            "source": TEXT,
                            "run": COUNT,
                            "state": TEXT,
                            "held": FLAG,
                            "began": INSTANT,
                            "ended": maybe(INSTANT),
                            "tables": {"type": "object"},
                        }
                    )
                )
            }
        ),
        "ExtractDecision": an_object(
            {"date": DAY, "source": TEXT, "run": COUNT, "state": TEXT, "held": FLAG}
        ),
        "Live": an_object({"service": {"const": "ingest"}, "status": {"const": "live"}}),
        "Ready": an_object(
            {
                "service": {"const": "ingest"},
                "status": {"enum": ["ready", "not ready"]},
                "checks": {"type": "object", "additionalProperties": TEXT},
            }
        ),
    }
