"""Valid resources, spoilt in every way that JSON allows, and some that it does not."""

import copy
import json
import random
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from tests.ingest.builders import (
    NHS,
    ODS,
    appointment,
    bundle,
    condition,
    deletion,
    dissent,
    encounter,
    episode,
    meta,
    observation,
    patient,
    prescription,
)
from tests.ingest.test_uk_core import RESOURCES

Mutable: TypeAlias = dict[str, Any] | list[Any]

SEEDS: Final[list[dict[str, Any]]] = [
    *RESOURCES.values(),
    patient(identifier=[{"system": NHS, "value": "9990000018"}], meta=meta("2026-01-01", "3")),
    condition(),
    observation(),
    prescription(),
    encounter(),
    appointment(),
    episode(managingOrganization={"identifier": {"system": ODS, "value": "A99001"}}),
    dissent(),
    bundle(patient(), condition(), deletion("Condition/c0"), kind="history", timestamp="2026"),
    bundle(
        {"fullUrl": "urn:uuid:1", "resource": patient()},
        {
            "request": {"method": "PUT", "url": "Condition/c1"},
            "resource": condition(subject={"reference": "urn:uuid:1"}),
        },
        deletion("Patient/p9", response={"etag": 'W/"3"', "lastModified": "2026-01-01"}),
        kind="transaction",
    ),
]

DATES: Final = [
    "2026-02-30", "2026-13-01", "0000-01-01", "0001-01-01", "9999-12-31", "10000-01-01",
    "2026-00-00", "2026-1-1", "26-01-01", "2026-01-01T", "2026-01-01T24:00:00Z", "2026-W01-1",
    "2026-01-01T23:59:60Z", "2026-01-01T23:59:61Z", "2026-01-01T00:00:00+15:00",
    "2026-01-01T00:00:00-14:00", "9999-12-31T23:59:60Z", "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00", "2026-03-29T01:30:00", "2026-10-25T01:30:00", "٢٠٢٦-٠١-٠١",
    "2026-01-01T00:00:00.0000000000000000000000000000000000Z", "2026-01-01t00:00:00z",
    "2026-01-01 00:00:00Z", " 2026-01-01", "2026-01-01\n", "2026-01-01T00:00Z", "+2026-01-01",
    "-2026-01-01", "1e3", "NaN", "today", "2026-02-29", "2024-02-29", "1582-10-10", "2026", "202",
]  # fmt: skip
REFERENCES: Final = [
    "Patient/", "/Patient/1", "Patient/1/2", "Patient/1/_history/2", "https://x/Patient/1",
    "urn:uuid:", "urn:uuid:1", "urn:oid:1.2", "#", "#med", "#self", "Patient?identifier=a|b",
    "?", "/", "//", "Patient/1?x", "Patient/1#x", "Organization/A99001", "Practitioner/",
    "https://" + "/" * 2_000, "Patient/" + "x" * 5_000, "Patient/\ud800", "Bundle/1",
    "../Patient/1", "Patient/%2e%2e",
]  # fmt: skip


def _deep(depth: int, of_lists: bool) -> Any:
    found: Any = "bottom"
    for _ in range(depth):
        found = [found] if of_lists else {"extension": found}
    return found


def _cyclic() -> Any:
    found: dict[str, Any] = {"resourceType": "Medication", "id": "self"}
    found["contained"] = [found]
    return found


HOSTILE: Final[list[Callable[[random.Random], Any]]] = [
    lambda _: None,
    lambda _: True,
    lambda _: False,
    lambda rng: rng.choice([0, -1, 1, 2**31, 2**53, 2**63, 2**64, -(2**70), 10**400]),
    lambda rng: rng.choice([0.0, -0.0, 1e308, 5e-324, float("nan"), float("inf"), 0.1]),
    lambda _: "",
    lambda _: "\ud800",
    lambda _: "\x00",
    lambda _: "\U0001f600" * 10,
    lambda rng: rng.choice("aA9/?#.-_ ") * rng.choice([10, 1_000, 30_000]),
    lambda rng: rng.choice(DATES),
    lambda rng: rng.choice(DATES),
    lambda rng: rng.choice(REFERENCES),
    lambda _: [],
    lambda _: {},
    lambda _: [None],
    lambda _: [[]],
    lambda _: [{}],
    lambda rng: [rng.choice([0, None, "x", {}, []])] * rng.choice([10, 3_000]),
    lambda rng: {str(n): n for n in range(rng.choice([10, 1_000]))},
    lambda rng: _deep(rng.choice([10, 400, 900]), rng.random() < 0.5),
    lambda rng: copy.deepcopy(rng.choice(SEEDS)),
    lambda _: [{"resourceType": "Medication", "id": "med", "contained": [{"id": "med"}]}],
    lambda _: {"reference": "#self", "identifier": {"value": "#self", "assigner": {}}},
    lambda _: [_cyclic()],
]


def places(document: Any, rng: random.Random, depth: int = 0) -> tuple[Mutable, Any] | None:
    """A container somewhere in a document and a key of it, the deeper ones as often."""
    if not isinstance(document, dict | list) or not document or depth > 12:
        return None
    keys = list(document) if isinstance(document, dict) else list(range(len(document)))
    key = rng.choice(keys)
    inner = places(document[key], rng, depth + 1) if rng.random() < 0.75 else None
    return inner or (document, key)


def mutated(rng: random.Random) -> Any:
    """One document with one to four things wrong with it."""
    document: Any = copy.deepcopy(rng.choice(SEEDS))
    for _ in range(rng.choice([1, 1, 2, 4])):
        found = places(document, rng)
        if found is None:
            continue
        parent, key = found
        _spoil(parent, key, rng)
    if rng.random() < 0.1:
        document = bundle(*[document] * rng.choice([1, 2, 40]))
    return document


def _spoil(parent: Mutable, key: Any, rng: random.Random) -> None:
    way = rng.randrange(10)
    if way < 6 or isinstance(parent, list):
        parent[key] = rng.choice(HOSTILE)(rng)
    elif way == 6:
        del parent[key]
    elif way == 7:
        parent[key] = [parent[key]] if rng.random() < 0.5 else {"value": parent[key]}
    elif way == 8:
        other = rng.choice(list(parent))
        parent[key], parent[other] = parent[other], parent[key]
    else:
        parent[rng.choice(["id", "subject", "status", "code", "meta", "contained", "entry"])] = (
            rng.choice(HOSTILE)(rng)
        )


def as_text(document: Any, rng: random.Random) -> bytes:
    """A document as bytes, at times not quite JSON, or with a key twice."""
    try:
        data = json.dumps(document).encode()
    except (ValueError, RecursionError):  # a cycle: no JSON can say it
        return b"{}"
    way = rng.randrange(12)
    if way == 0 and data:
        at = rng.randrange(len(data))
        return data[:at]
    if way == 1 and data:
        spoilt = bytearray(data)
        for _ in range(rng.choice([1, 3, 20])):
            spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        return bytes(spoilt)
    if way == 2:
        again = rng.choice([b'"id":5', b'"id":"twice"', b'"resourceType":"Patient"', b'"meta":[]'])
        return data.replace(b"{", b"{" + again + b",", rng.choice([1, 50]))
    if way == 3:
        return data.replace(b'"value"', b'"value": ' + b"9" * rng.choice([20, 5_000]) + b', "v"')
    return data
