"""Whatever is sent, the reader gives an answer: it never fails, and never takes long or grows."""

import gc
import random
import resource
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peerview_common import codes
from peerview_common.changes import MAX_RECORD_BYTES
from peerview_common.facts import Fact, fact_digest
from peerview_ingest.fhir import (
    ClearKeys,
    Feed,
    HmacKeys,
    Outcome,
    Read,
    Reader,
    Receipt,
    Resolver,
    bodies,
    shaping,
)
from peerview_ingest.fhir import reader as reader_module
from peerview_ingest.fhir.issues import MAX_ISSUES
from peerview_ingest.fhir.read import content
from peerview_ingest.fhir.shapes import Resource
from peerview_ingest.fhir.types import RESOURCE_TYPES
from peerview_ingest.parsing import NotJsonError, parse, parse_line
from peerview_ingest.plan import Knowledge, make_plan, newest_reads
from tests.ingest.builders import NOW, PRACTICE
from tests.ingest.mutations import SEEDS, as_text, mutated

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Fact).decode
SERVICE = Reader(
    codes.shipped(), Feed(PRACTICE, "demo"), HmacKeys(b"k" * 32, PRACTICE), Receipt(NOW)
)
EVALUATE = Reader(codes.shipped(), Feed(PRACTICE, ""), ClearKeys(), Receipt(None))


def check(reads: list[Read]) -> Counter[str]:
    """What a reader gives is whole: facts can be written, refusals say what is wrong and where."""
    for read in reads:
        errors = [issue for issue in read.issues if issue.severity == "error"]
        assert bool(errors) == (read.outcome is Outcome.REJECTED)
        assert len(read.issues) <= MAX_ISSUES + 1
        for issue in read.issues:
            assert issue.expression
            msgspec.json.encode(issue.json())
        if read.fact is not None:
            written = _encode(read.fact)
            assert len(written) < MAX_RECORD_BYTES / 2
            assert _encode(_decode(written)) == written
            fact_digest(read.fact)
            content(read)
            assert all(isinstance(patient, bytes) for patient in read.patients)
    return Counter(read.outcome.value for read in reads)


def through(document: Any) -> Counter[str]:
    reads = SERVICE.read(document)
    newest = newest_reads(PRACTICE, "demo", reads)
    _encode(make_plan(codes.shipped(), newest, Knowledge()).changes)
    EVALUATE.read(document)
    return check(reads)


def read_alike(line: bytes, parsed: Any) -> bool:
    """Whether a line is shaped without being parsed first; then it is read as if it had been."""
    shaped = parse_line(line)
    if not isinstance(shaped, Resource):
        assert repr(shaped) == repr(parsed)
        return False
    resolver = Resolver()
    resolver.add(shaped)
    (wanted,) = SERVICE.read(parsed)
    assert SERVICE.resource(shaped, resolver) == wanted
    return True


class Cost:
    """The slowest input by processor time, and how much memory all of them took at most."""

    def __init__(self) -> None:
        self.slowest, self.size = 0.0, 0
        self._before = self._peak()

    @staticmethod
    def _peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def of(self, work: Callable[[], Any], size: int) -> Any:
        began = time.thread_time()
        found = work()
        spent = time.thread_time() - began
        # a hanging one is to be seen, not a slow machine: how time grows is tried below
        assert spent < 5 + size * 2e-5, f"{spent:.2f} s for {size} bytes"
        if spent > self.slowest:
            self.slowest, self.size = spent, size
        return found

    @property
    def grown(self) -> float:
        """Megabytes."""
        return (self._peak() - self._before) / 1024


def fuzz(inputs: int, seed: int) -> str:
    rng = random.Random(seed)
    cost, fates = Cost(), Counter[str]()
    for _ in range(inputs):
        document = mutated(rng)
        data = as_text(document, rng)

        def both(document: Any = document, data: bytes = data) -> None:
            fates.update(through(document))
            try:
                parsed = parse(data)
            except NotJsonError:
                fates["not JSON"] += 1
            else:
                fates.update(through(parsed))
                fates["lines shaped at once"] += read_alike(data, parsed)

        cost.of(both, len(data))
    assert cost.grown < 400
    told = ", ".join(f"{number:,} {fate}" for fate, number in fates.most_common())
    return (
        f"fuzz of the reader, seed {seed}: {inputs:,} inputs, as objects and as text ({told}); "
        f"slowest {cost.slowest * 1000:.0f} ms ({cost.size:,} bytes), "
        f"peak memory grew by {cost.grown:.0f} MB"
    )


def test_the_seeds_are_taken() -> None:
    for document in SEEDS:
        assert not through(document)["rejected"], document


def test_two_thousand_spoilt_documents(closing: list[str]) -> None:
    closing.append(fuzz(2_000, 20_260_401))


def test_what_is_looked_at_place_by_place_is_read_as_what_is_shaped_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Most of these are wrong somewhere, many where it does not count."""
    rng = random.Random(20_260_402)
    documents = [*SEEDS, *(mutated(rng) for _ in range(2_000))]
    readers = (SERVICE, EVALUATE)
    at_once = [reader.read(document) for document in documents for reader in readers]

    def careful(value: Any, shape: type, place: str, notes: Any) -> Any:
        return shaping._Careful(value, shape, place, notes)

    for module in (reader_module, bodies):
        monkeypatch.setattr(module, "shaped", careful)
    placewise = [reader.read(document) for document in documents for reader in readers]
    assert placewise == at_once
    shaped = sum(all(read.outcome is not Outcome.REJECTED for read in reads) for reads in at_once)
    assert shaped > 1_000


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_two_hundred_thousand_spoilt_documents(closing: list[str]) -> None:
    closing.append(fuzz(200_000, random.SystemRandom().randrange(10**9)))


# -- whatever JSON there is

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.sampled_from(sorted(RESOURCE_TYPES))
)
NAMES = st.sampled_from(
    ["resourceType", "id", "meta", "lastUpdated", "versionId", "identifier", "system", "value",
     "subject", "patient", "reference", "code", "coding", "status", "period", "start", "end",
     "participant", "actor", "individual", "type", "entry", "resource", "request", "method", "url",
     "fullUrl", "response", "contained", "valueQuantity", "component", "extension", "class"]
) | st.text(max_size=5)  # fmt: skip
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=25,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON, st.sampled_from(sorted({*RESOURCE_TYPES})), st.booleans())
def test_any_json_is_read(document: Any, kind: str, bundled: bool) -> None:
    if isinstance(document, dict):
        document = {**document, "resourceType": kind}
    if bundled:
        document = {"resourceType": "Bundle", "entry": [{"resource": document}, document]}
    through(document)


# -- what is made to be dear


def _many(count: int, thing: Any) -> list[Any]:
    return [thing] * count


def _contained(kind: str, count: int) -> list[Any]:
    return [{"resourceType": kind, "id": f"g{n}"} for n in range(count)]


def _to_contained(count: int) -> list[Any]:
    """References to each contained resource, the last first; the first of them leads nowhere."""
    return [{"reference": f"#g{count - n}"} for n in range(count)]


DEAR: dict[str, Callable[[int], Any]] = {
    "participants by contained": lambda times: {
        **SEEDS_BY_TYPE["Encounter"],
        "contained": _contained("Practitioner", 2_000 * times),
        "participant": [{"individual": each} for each in _to_contained(2_000 * times)],
    },
    "practitioners by contained": lambda times: {
        **SEEDS_BY_TYPE["Patient"],
        "contained": _contained("Organization", 2_000 * times),
        "generalPractitioner": _to_contained(2_000 * times),
    },
    "codings": lambda times: {
        **SEEDS_BY_TYPE["Condition"],
        "code": {"coding": _many(5_000 * times, {"system": "http://bnf.example",
                                                 "code": "9" * 20})},
    },
    "components": lambda times: {
        **SEEDS_BY_TYPE["Observation"],
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
        "component": _many(2_500 * times, {"code": {"coding": [{"system": "http://loinc.org",
                                                        "code": "8480-6"}]}}),
    },
    "participants": lambda times: {
        **SEEDS_BY_TYPE["Appointment"],
        "participant": [{"actor": {"reference": f"Patient/{n}"}} for n in range(2_500 * times)],
    },
    "the same a thousand times": lambda times: {
        "resourceType": "Bundle",
        "entry": [{"resource": {**SEEDS_BY_TYPE["Observation"], "valueQuantity": {"value": n}}}
                  for n in range(250 * times)],
    },
    "entries that are none": lambda times: {
        "resourceType": "Bundle", "entry": _many(12_500 * times, 0),
    },
    "identifiers": lambda times: {
        **SEEDS_BY_TYPE["Patient"], "id": "", "identifier": _many(5_000 * times, {"system": "s"}),
    },
    "a reference of slashes": lambda times: {
        **SEEDS_BY_TYPE["Condition"], "subject": {"reference": "a/" * (75_000 * times)},
    },
    "a deletion of slashes": lambda times: {
        "resourceType": "Bundle",
        "entry": [{"request": {"method": "DELETE", "url": "a/" * (75_000 * times) + "?"}}],
    },
    "a conditional reference of slashes": lambda times: {
        **SEEDS_BY_TYPE["Encounter"],
        "participant": [{"individual": {"reference": "a://" + "b/" * (75_000 * times) + "c"}}],
    },
    "an id": lambda times: {**SEEDS_BY_TYPE["Condition"], "id": "9" * (150_000 * times)},
    "a date": lambda times: {**SEEDS_BY_TYPE["Condition"], "onsetDateTime": "2026-01-01T00:00:00."
                       + "0" * (150_000 * times)},
    "extensions": lambda times: {
        **SEEDS_BY_TYPE["Immunization"],
        "extension": _many(1_250 * times, SEEDS_BY_TYPE["Immunization"]["extension"][0]),
    },
    "warnings": lambda times: {
        "resourceType": "Bundle",
        "entry": _many(1_250 * times, {"resource": {**SEEDS_BY_TYPE["Appointment"],
                                                    "status": "odd"}}),
    },
}  # fmt: skip
SEEDS_BY_TYPE = {document["resourceType"]: document for document in SEEDS}


@pytest.mark.parametrize("name", DEAR)
def test_what_is_made_to_be_dear_is_not(name: str) -> None:
    """Four times as much costs about four times the time; what is quadratic costs sixteen."""
    spent = []
    for times in (1, 4):
        data = msgspec.json.encode(DEAR[name](times))
        document = parse(data)
        # by itself the collector would also go through all that other tests hold
        gc.disable()
        began = time.thread_time()
        through(document)
        spent.append(time.thread_time() - began)
        gc.enable()
    assert spent[1] < 0.2 + 10 * spent[0], f"{spent} s for {len(data):,} bytes"
    tracemalloc.start()
    try:
        SERVICE.read(document)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000 + 40 * len(data), f"{peak:,} bytes for {len(data):,}"
