"""Records sent again under another code list: what was left out before is not taken for known."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from peerview_common import codes
from peerview_common.codes import CodeList, Row
from peerview_common.facts import Fact
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.store import Store
from peerview_ingest.submission import Ingest
from peerview_tools.issuer import DevelopmentIssuer
from tests.ingest.builders import (
    HYPERTENSION,
    NOW,
    SNOMED,
    Json,
    bundle,
    condition,
    deletion,
    meta,
)
from tests.ingest.conftest import MemoryLog, Service, settings
from tests.ingest.test_submission import P1, P2, state

HUNDRED = range(100)
"""Enough that a choice by hash shows: it would be right once in 2^100."""
NEW, NEWER = "999999991000000101", "999999981000000103"
STAMP = meta("2026-01-01T00:00:00Z")

Serve = Callable[[CodeList], Service]


def with_codes(*more: str) -> CodeList:
    added = (Row("NOCX_COD", SNOMED, code, "test") for code in more)
    return CodeList([*codes.shipped().rows, *added])


@pytest.fixture
def serve(tmp_path: Path, issuer: DevelopmentIssuer) -> Iterator[Serve]:
    """The service under a code list; each on the database and the log of the one before."""
    clock, log, open_ones = itertools.count(NOW, 1_000), MemoryLog(), []

    def start(listed: CodeList) -> Service:
        while open_ones:
            open_ones.pop().close()
        chosen = settings(tmp_path, issuer)
        store = Store(chosen.ingest_database)
        ingest = Ingest(chosen, store, log, listed, DEMONSTRATION_KEY, lambda: next(clock))
        open_ones.append(ingest)
        return Service(ingest, log, issuer)

    yield start
    while open_ones:
        open_ones.pop().close()


def with_two(number: int, *listed: str, **rest: object) -> Json:
    coding = [{"system": SNOMED, "code": code} for code in listed]
    return condition(f"c{number}", code={"coding": coding}, meta=STAMP, **rest)


def kept(service: Service, patient: bytes = P1) -> list[tuple[object, ...]]:
    """The codes of the patient's facts as compute would hold them."""
    held: list[Fact] = list(state(service).get(patient, {}).values())
    return [fact.body.codes for fact in held]  # type: ignore[union-attr]


async def test_what_a_longer_list_adds_counts_though_the_version_is_the_same(serve: Serve) -> None:
    half_known = bundle(*(with_two(n, HYPERTENSION, NEW) for n in HUNDRED))
    unknown = bundle(*(with_two(n + 100, NEW) for n in HUNDRED))
    first = serve(codes.shipped())
    await first.bundle(half_known)
    await first.bundle(unknown)
    assert kept(first) == [(int(HYPERTENSION),)] * 100

    longer = serve(with_codes(NEW))
    assert "unchanged=0" in (await longer.bundle(half_known)).headers["Peerview-Receipt"]
    await longer.bundle(unknown)
    both = (int(HYPERTENSION), int(NEW))
    assert sorted(kept(longer)) == sorted([both] * 100 + [(int(NEW),)] * 100)
    records = len(longer.log.records)
    again = await longer.bundle(half_known)
    assert "unchanged=100" in again.headers["Peerview-Receipt"]
    assert len(longer.log.records) == records


async def test_a_list_that_puts_another_code_in_a_codes_place_wins_too(serve: Serve) -> None:
    document = bundle(*(with_two(n, NEW, NEWER) for n in HUNDRED))
    for listed in (NEW, NEWER, NEW):
        service = serve(with_codes(listed))
        await service.bundle(document)
        assert kept(service) == [(int(listed),)] * 100


async def test_versions_after_one_that_was_raised_beat_it(serve: Serve) -> None:
    document = bundle(*(with_two(n, HYPERTENSION, NEW) for n in range(4)))
    for listed in ((), (NEW,), (), (NEW,)):
        service = serve(with_codes(*listed))
        await service.bundle(document)
    # raised three times: the source's next version is only a millisecond later
    next_up = meta("2026-01-01T00:00:00.001Z")
    gone = with_two(0, HYPERTENSION) | {"meta": next_up, "verificationStatus": _refuted()}
    moved = with_two(1, HYPERTENSION, subject={"reference": "Patient/p2"}) | {"meta": next_up}
    lesser = with_two(2, HYPERTENSION) | {"meta": next_up}
    await service.bundle(bundle(gone, moved, lesser))
    await service.bundle(bundle(deletion("Condition/c3"), timestamp="2026-01-01T00:00:00Z"))
    assert kept(service) == [(int(HYPERTENSION),)]
    assert kept(service, P2) == [(int(HYPERTENSION),)]
    older = bundle(*(with_two(n, NEW) for n in range(4)))
    answer = await service.bundle(older)
    assert "unchanged=4" in answer.headers["Peerview-Receipt"]
    assert kept(service) == [(int(HYPERTENSION),)]


def _refuted() -> Json:
    return {"coding": [{"code": "refuted"}]}


async def test_a_database_of_before_lists_were_noted_is_taken_over(
    serve: Serve, tmp_path: Path
) -> None:
    document = bundle(*(with_two(n, HYPERTENSION, NEW) for n in HUNDRED))
    await serve(codes.shipped()).bundle(document)
    engine = create_engine(f"sqlite:///{tmp_path / 'ingest.db'}")
    with engine.begin() as connection:
        # what the migration finds in place of a list's version
        connection.execute(text("UPDATE facts SET codes = ''"))
    engine.dispose()
    service = serve(with_codes(NEW))
    await service.bundle(document)
    assert kept(service) == [(int(HYPERTENSION), int(NEW))] * 100
