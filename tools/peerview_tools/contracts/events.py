"""Every kind of record on a topic: its schema, key, sender and readers."""

from dataclasses import dataclass, field
from typing import Any, Final, get_args

from peerview_common import changes, snapshots, values
from peerview_common.catalogue import catalogue
from peerview_common.cloudevents import JSON, MSGPACK, EventType
from peerview_common.ids import INDICATOR_PATTERN, NETWORK_PATTERN, ODS_PATTERN
from peerview_common.topics import AGREEMENTS, CHANGES, DEAD_LETTERS, SNAPSHOTS, STATE, VALUES
from peerview_compute.engine import records
from peerview_compute.model import state
from peerview_share.disclosure.cell import CellState
from peerview_share.disclosure.identity import MIN_CONTRIBUTORS
from peerview_tools.contracts.structs import DIALECT, Schema, struct_schema

PEER_VIEWS: Final = "peer-views.{network}.{viewer}"


@dataclass(frozen=True)
class Event:
    """``type`` is the record's ``ce_type``; a dead letter keeps its original's."""

    type: str
    topic: str
    title: str
    key: Schema | None
    """None where a record has none."""
    schema: Schema
    sender: str
    readers: tuple[str, ...]
    content_type: str = MSGPACK
    headers: Schema = field(default_factory=dict)
    """Headers beside those of every record."""


def _key(pattern: str, description: str) -> Schema:
    return {"type": "string", "pattern": pattern, "description": description}


def _object(
    title: str, description: str, properties: dict[str, Schema], optional: tuple[str, ...] = ()
) -> Schema:
    return {
        "$schema": DIALECT,
        "title": title,
        "description": description,
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


_PRACTICE: Final = _key(ODS_PATTERN, "the practice's ODS code")
_DAY: Final = {"type": "string", "format": "date"}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def peer_cell() -> Schema:
    """What one viewer gets of one subject's indicator, on a topic as by REST."""
    count = {"type": "integer", "minimum": 0, "multipleOf": 5}
    return _object(
        "PeerCell",
        "One cell of one viewer's view, the same bytes as REST gives. No value: the viewer may no "
        "longer see it.",
        {
            "network": {"type": "string", "pattern": NETWORK_PATTERN},
            "epoch": {"type": "integer", "description": "the epoch that this cell belongs to"},
            "indicator": {"type": "string", "pattern": INDICATOR_PATTERN},
            "subject": {"type": "string", "pattern": ODS_PATTERN},
            "state": {"enum": [each.value for each in CellState]},
            "numerator": _nullable(count),
            "denominator": _nullable(count),
            "value": _nullable({"type": "number", "description": "the figure in `unit`"}),
            "unit": {"enum": sorted({each.unit for each in catalogue().values()})},
            "demonstration_only": {"type": "boolean"},
            "version": _nullable({"type": "string"}),
            "as_of": _nullable(_DAY),
            "released": _nullable(_DAY),
            "released_epoch": _nullable({"type": "integer"}),
            "agreement": {
                "type": "object",
                "properties": {"id": {"type": "string"}, "version": {"type": "integer"}},
                "required": ["id", "version"],
            },
        },
    )


def derived_cell() -> Schema:
    """What one viewer gets of several practices who are not named, on a topic as by REST."""
    figure = _nullable({"type": "number", "description": "in `unit`: whole, of a mean hundredths"})
    some = {"type": "array", "items": {"type": "number"}}
    band = {
        "type": "object",
        "properties": {
            "from": _nullable({"type": "number"}),
            "below": _nullable({"type": "number"}),
            "practices": {"type": "integer", "minimum": 0},
        },
        "required": ["from", "below", "practices"],
    }
    return _object(
        "DerivedCell",
        "One figure of several practices who are not named to the viewer, the same bytes as REST "
        "gives. No value: the viewer may no longer see it.",
        {
            "network": {"type": "string", "pattern": NETWORK_PATTERN},
            "epoch": {"type": "integer", "description": "the epoch that this figure belongs to"},
            "indicator": {"type": "string", "pattern": INDICATOR_PATTERN},
            "level": {"enum": ["anonymous", "distribution"]},
            "state": {"enum": ["value", "carried-forward", "suppressed"]},
            "contributors": _nullable({"type": "integer", "minimum": MIN_CONTRIBUTORS}),
            "older": _nullable({"type": "integer", "minimum": 0}),
            "unit": {"enum": sorted({each.unit for each in catalogue().values()})},
            "demonstration_only": {"type": "boolean"},
            "cells_epoch": _nullable({"type": "integer"}),
            "bands": _nullable({"type": "array", "items": band, "minItems": 4, "maxItems": 4}),
            "median": figure,
            "quartiles": _nullable(some | {"minItems": 2, "maxItems": 2}),
            "deciles": _nullable(some | {"minItems": 9, "maxItems": 9}),
        },
        # bands belong to one level, quantiles to the other
        optional=("bands", "median", "quartiles", "deciles"),
    )


def agreement_changed() -> Schema:
    return _object(
        "AgreementChanged",
        "A mirror of one change of an agreement, for other systems; the truth is share's database.",
        {
            "format": {"const": 1},
            "agreement": {"type": "string"},
            "version": {"type": "integer"},
            "network": {"type": "string", "pattern": NETWORK_PATTERN},
            "event": {"type": "string", "description": "what happened to it"},
            "practice": _nullable({"type": "string", "pattern": ODS_PATTERN}),
            "at": {"type": "integer", "description": "milliseconds UTC"},
            "revision": {"type": "integer", "description": "grows with every change of any"},
        },
    )


def _control(kind: Any) -> Event:
    """Those of no practice in particular go to every partition, without a key."""
    of_practice = "practice" in kind.__struct_fields__
    return Event(
        changes.event_type_of(kind),
        CHANGES.name,
        kind.__name__,
        _PRACTICE if of_practice else None,
        struct_schema(kind),
        "ingest" if of_practice else "share",
        ("compute", "share"),
    )


def events() -> list[Event]:
    """In the order of topics."""
    patient = _key("^[A-Z0-9]{3,10}/[0-9a-f]{32}$", "PRACTICE/PATIENT, in hexadecimal")
    return [
        Event(
            EventType.CHANGES,
            CHANGES.name,
            "ChangeSet",
            _PRACTICE,
            struct_schema(changes.ChangeSet, formatted=changes.FORMAT),
            "ingest",
            ("compute", "share"),
        ),
        *(_control(kind) for kind in get_args(changes.Control)),
        Event(
            EventType.CHANGES,
            DEAD_LETTERS.name,
            "DeadLetter",
            _PRACTICE,
            struct_schema(changes.ChangeSet, formatted=changes.FORMAT)
            | {
                "title": "DeadLetter",
                "description": "The failing patient's part as a change set; a record that cannot "
                "be decoded at all stands there as it was.",
            },
            "compute",
            ("operators",),
            headers={
                "reason": {"type": "string", "description": "the error, without data"},
                "stage": {"type": "string", "description": "where it failed"},
                "source-partition": {"type": "string", "pattern": "^[0-9]+$"},
                "source-offset": {"type": "string", "pattern": "^[0-9]+$"},
            },
        ),
        Event(
            EventType.STATE,
            STATE.name,
            "PatientState",
            patient,
            struct_schema(state.PatientState, formatted=state.FORMAT),
            "compute",
            ("compute",),
        ),
        Event(
            EventType.MARKER,
            STATE.name,
            "Marker",
            _key("^![0-9]+$", "!PARTITION"),
            struct_schema(records.Marker, formatted=records.FORMAT),
            "compute",
            ("compute",),
        ),
        Event(
            EventType.STATE,
            STATE.name,
            "Notes",
            _key("^[A-Z0-9]{3,10}!$", "PRACTICE!"),
            struct_schema(records.Notes, formatted=records.FORMAT),
            "compute",
            ("compute",),
        ),
        Event(
            EventType.VALUE,
            VALUES.name,
            "IndicatorValue",
            _key("^[A-Z0-9]{3,10}/[a-z0-9][a-z0-9-]{1,40}$", "PRACTICE/INDICATOR"),
            struct_schema(values.IndicatorValue, formatted=values.FORMAT),
            "compute",
            ("share",),
            JSON,
        ),
        Event(
            EventType.SNAPSHOT,
            SNAPSHOTS.name,
            "SnapshotChunk",
            _PRACTICE,
            struct_schema(snapshots.SnapshotChunk, formatted=snapshots.FORMAT),
            "compute",
            ("share",),
        ),
        Event(
            EventType.AGREEMENT,
            AGREEMENTS.name,
            "AgreementChanged",
            _key("^[a-z0-9][a-z0-9-]{1,62}$", "the agreement's id"),
            agreement_changed(),
            "share",
            ("others",),
            JSON,
        ),
        Event(
            EventType.CELL,
            PEER_VIEWS,
            "PeerCell",
            _key(
                "^[a-z0-9][a-z0-9-]{1,40}/[A-Z0-9]{3,10}$",
                "INDICATOR/SUBJECT; no value is a tombstone",
            ),
            peer_cell(),
            "share",
            ("viewer",),
            JSON,
        ),
        Event(
            EventType.DERIVED,
            PEER_VIEWS,
            "DerivedCell",
            _key(INDICATOR_PATTERN, "INDICATOR; no value is a tombstone"),
            derived_cell(),
            "share",
            ("viewer",),
            JSON,
        ),
    ]


def schemas() -> dict[str, Schema]:
    """``{title: schema}`` of every record, and of what stands in several of them together."""
    found = {event.title: event.schema for event in events()}
    body = struct_schema(snapshots.SnapshotBody)
    found["SnapshotBody"] = body | {
        "description": "The joined parts of all chunks of one attempt of a snapshot."
    }
    return found
