"""What a submission puts into the log, and what the index remembers of it."""

import itertools
import sqlite3
import uuid
from collections import defaultdict
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from peerview_common import codes
from peerview_common.changes import MAX_RECORD_BYTES, PatientChange
from peerview_common.facts import Fact, newer
from peerview_ingest.fhir import HmacKeys
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.store import Store, Turn
from peerview_ingest.submission import Ingest
from peerview_tools.issuer import DevelopmentIssuer
from tests.ingest.builders import (
    NOW,
    PRACTICE,
    appointment,
    bundle,
    condition,
    deletion,
    dissent,
    meta,
    observation,
    patient,
)
from tests.ingest.conftest import MemoryLog, Service, settings

KEYS = HmacKeys(DEMONSTRATION_KEY, PRACTICE)
P1, P2 = KEYS.patient("demo", "p1"), KEYS.patient("demo", "p2")
EARLY, LATE = meta("2026-01-01T00:00:00Z"), meta("2026-01-02T00:00:00Z")


def changes_of(service: Service, since: int = 0) -> list[PatientChange]:
    return [change for each in service.log.sets()[since:] for change in each.patients]


def state(service: Service) -> dict[bytes, dict[object, Fact]]:
    """What compute would hold: the newest versions of the greatest generation."""
    generation: dict[bytes, int] = defaultdict(int)
    held: dict[bytes, dict[object, Fact]] = defaultdict(dict)
    for change in changes_of(service):
        if change.generation < generation[change.patient]:
            continue
        if change.generation > generation[change.patient]:
            generation[change.patient] = change.generation
            held[change.patient] = {}
        for fact in change.facts:
            facts = held[change.patient]
            facts[fact.key] = newer(facts[fact.key], fact) if fact.key in facts else fact
    return {
        who: {key: fact for key, fact in facts.items() if fact.body is not None}
        for who, facts in held.items()
    }


async def test_a_bundle_becomes_one_record(service: Service) -> None:
    answer = await service.bundle(bundle(patient(), condition()))
    assert answer.status_code == 202
    (record,) = service.log.sets()
    assert (record.practice, record.source) == (PRACTICE, "demo")
    assert record.data_through == record.received
    (change,) = record.patients
    assert (change.patient, change.generation, change.objected) == (P1, 1, False)
    assert len(change.facts) == 2


TO_AND_FRO = [(1, 0), (2, 0), (1, 1), (2, 1)]


@pytest.mark.parametrize("order", list(itertools.permutations(TO_AND_FRO)))
async def test_equal_versions_of_two_patients_leave_it_with_one(
    service: Service, order: list[tuple[int, int]]
) -> None:
    """A system that says of one version two patients: in any order one of them has it."""
    for number, version in order:
        given = meta("2026-01-01T00:00:00Z", str(version))
        subject = {"reference": f"Patient/p{number}"}
        answer = await service.bundle(bundle(condition("c1", meta=given, subject=subject)))
        assert answer.status_code == 202
    held = [key for key, facts in state(service).items() for fact in facts.values() if fact.body]
    assert held == [max(P1, P2)]


async def test_unchanged_facts_are_not_sent_again(service: Service) -> None:
    document = bundle(patient(), condition(meta=EARLY))
    await service.bundle(document)
    again = await service.bundle(document)
    assert again.headers["Peerview-Receipt"] == "accepted=2, rejected=0, dropped=0, unchanged=2"
    assert again.headers["Peerview-Positions"] == ""
    assert len(service.log.records) == 1


async def test_an_older_version_than_the_known_one_is_not_sent(service: Service) -> None:
    await service.bundle(bundle(condition(meta=LATE)))
    await service.bundle(bundle(condition(meta=EARLY, onsetDateTime="2001-01-01")))
    assert len(service.log.records) == 1


async def test_a_void_version_beats_earlier_ones_in_any_order(service: Service) -> None:
    await service.bundle(bundle(condition("a", meta=EARLY)))
    await service.bundle(bundle(condition("a", meta=LATE, code="123456")))
    await service.bundle(bundle(condition("b", meta=LATE, code="123456")))
    await service.bundle(bundle(condition("b", meta=EARLY)))
    assert state(service)[P1] == {}


async def test_a_deletion_finds_its_patient(service: Service) -> None:
    await service.bundle(bundle(condition(), appointment("a1", "Patient/p1", "Patient/p2")))
    assert (await service.send("DELETE", "/fhir/Condition/c1")).status_code == 202
    assert (await service.send("DELETE", "/fhir/Appointment/a1")).status_code == 202
    assert state(service) == {P1: {}, P2: {}}


async def test_a_deletion_that_comes_first_still_wins(service: Service) -> None:
    gone = bundle(deletion("Condition/c1"), timestamp="2026-01-02T00:00:00Z")
    await service.bundle(gone)
    await service.bundle(bundle(condition(meta=EARLY)))
    assert state(service).get(P1, {}) == {}


async def test_a_fact_that_moved_leaves_the_old_patient_in_the_same_record(
    service: Service,
) -> None:
    await service.bundle(bundle(condition(meta=EARLY)))
    moved = condition(meta=LATE, subject={"reference": "Patient/p2"})
    await service.bundle(bundle(moved))
    (last,) = service.log.sets()[1:]
    assert {change.patient for change in last.patients} == {P1, P2}
    assert state(service)[P1] == {}
    assert len(state(service)[P2]) == 1


async def test_an_objection_empties_the_patient_and_nothing_more_is_sent(service: Service) -> None:
    await service.bundle(bundle(patient(), condition()))
    answer = await service.bundle(bundle(dissent(), condition("c2")))
    assert answer.status_code == 202
    assert changes_of(service, 1) == [PatientChange(P1, 2, True, [])]
    await service.bundle(bundle(condition("c3"), appointment("a1", "Patient/p1", "Patient/p2")))
    assert {change.patient for change in changes_of(service, 2)} == {P2}


async def test_opting_in_asks_for_everything_again_and_takes_it(service: Service) -> None:
    everything = bundle(patient(), condition(meta=EARLY))
    await service.bundle(everything)
    await service.bundle(bundle(dissent(day="2024-01-01")))
    back = await service.send(
        "POST", "/v1/bulk", content=_line(dissent("w", "2024-02-01", "TYPE1WITHDRAWN_COD"))
    )
    assert back.json()["opted_in"] == 1
    assert "send the whole records" in back.json()["resend"]
    assert changes_of(service, 2) == [PatientChange(P1, 3, False, [])]
    await service.bundle(everything)
    assert len(state(service)[P1]) == 2


async def test_deleting_a_dissent_opts_in(service: Service) -> None:
    await service.bundle(bundle(dissent(day=None)))
    await service.send("DELETE", "/fhir/Observation/d1")
    assert [(c.generation, c.objected) for c in changes_of(service)] == [(2, True), (3, False)]


async def test_two_patients_with_one_nhs_number_are_told(service: Service) -> None:
    number = [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "943 476 5919"}]
    lines = _line(patient("p1", identifier=number)) + _line(patient("p2", identifier=number))
    answer = await service.send("POST", "/v1/bulk", content=lines)
    assert answer.json()["shared_nhs_numbers"] == 1


async def test_nothing_is_remembered_when_the_log_is_away(service: Service) -> None:
    service.log.away = "gone"
    answer = await service.bundle(bundle(condition()))
    assert answer.status_code == 503
    assert "nothing was written" in answer.text
    assert answer.headers["retry-after"]
    service.log.away = None
    await service.bundle(bundle(condition()))
    assert len(state(service)[P1]) == 1


async def test_a_database_that_is_away_is_a_503_and_sending_again_is_safe(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("UPDATE", {"canary": 1}, Exception("disk"))

    with monkeypatch.context() as broken:
        broken.setattr(Turn, "commit", away)
        answer = await service.bundle(bundle(condition()))
        assert answer.status_code == 503
        assert "canary" not in answer.text
    await service.bundle(bundle(condition()))
    assert len(state(service)[P1]) == 1


async def test_a_database_that_somebody_else_has_locked_is_a_503(
    tmp_path: Path, issuer: DevelopmentIssuer
) -> None:
    path = tmp_path / "locked.db"
    chosen = settings(tmp_path, issuer, ingest_database=f"sqlite:///{path}?timeout=0.1")
    store = Store(chosen.ingest_database)
    ingest = Ingest(chosen, store, MemoryLog(), codes.shipped(), DEMONSTRATION_KEY, lambda: NOW)
    service = Service(ingest, ingest.publisher, issuer)
    assert (await service.bundle(bundle(patient()))).status_code == 202
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = await service.bundle(bundle(condition()))
    assert answer.status_code == 503
    assert "sending it again is safe" in answer.text
    other.execute("ROLLBACK")
    other.close()
    again = await service.bundle(bundle(condition()))
    assert "unchanged=0" in again.headers["Peerview-Receipt"]
    assert len(state(service)[P1]) == 2
    await service.client.aclose()
    ingest.close()


async def test_large_submissions_are_split_between_patients(service: Service) -> None:
    people = [
        observation(str(uuid.uuid4()), patient=f"p{number % 300}", meta=EARLY)
        for number in range(24_000)
    ]
    lines = b"".join(map(_line, people))
    answer = await service.send("POST", "/v1/bulk", content=lines)
    assert answer.json()["accepted"] == 24_000
    assert len(answer.json()["positions"]) == len(service.log.records)
    assert max(map(len, service.log.records)) <= MAX_RECORD_BYTES
    assert sum(map(len, state(service).values())) == 24_000


async def test_one_patient_larger_than_a_record_is_split_and_a_transaction_refused(
    service: Service,
) -> None:
    entries = [observation(str(uuid.uuid4()), meta=EARLY) for _ in range(14_000)]
    refused = await service.bundle(bundle(*entries, kind="transaction"))
    assert (refused.status_code, service.log.records) == (413, [])
    assert "send it as a batch" in refused.text
    answer = await service.bundle(bundle(*entries))
    assert answer.status_code == 202
    assert max(map(len, service.log.records)) <= MAX_RECORD_BYTES
    assert len(state(service)[P1]) == 14_000


async def test_a_register_of_organisations_is_kept(service: Service) -> None:
    organisation = {
        "resourceType": "Organization",
        "id": "o1",
        "identifier": [
            {"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": PRACTICE}
        ],
    }
    await service.bundle(bundle(organisation))
    episode = {
        "resourceType": "EpisodeOfCare",
        "id": "g1",
        "status": "active",
        "patient": {"reference": "Patient/p1"},
        "managingOrganization": {"reference": "Organization/o1"},
    }
    await service.bundle(bundle(episode))
    (fact,) = state(service)[P1].values()
    assert fact.body.here  # type: ignore[union-attr]


async def test_practices_have_keys_of_their_own() -> None:
    other = HmacKeys(DEMONSTRATION_KEY, "A99002")
    assert other.patient("demo", "p1") != P1
    assert KEYS.patient("other", "p1") != P1
    assert KEYS.patient("a|b", "c") != KEYS.patient("a", "b|c")


@pytest.mark.parametrize(
    ("id_text", "kept"),
    [
        ("7d3f1c52-9f0a-4c1e-8a52-0d8f1e9b7a10", True),
        ("123456", True),
        ("x-1234", False),
        ("07700900461", False),
        ("0770-0900-461", False),
        ("077-090-461", True),
        ("1" + "-" * 100, False),
        ("x1234-5", True),
        ("00ff00ff00ff00ff", True),
        ("obs-1234", False),
        ("Ada", False),
        ("Ada-1950", False),
        ("Smith-John", False),
        ("9434765919", False),
        ("obs-943-476-5919", False),
        ("00000000-0000-0000-0000-009434765919", False),
        ("condition-12", False),
        ("https://fhir.nhs.uk/Id/nhs-number|9434765919", False),
    ],
)
def test_ids_stay_only_where_they_look_technical(id_text: str, kept: bool) -> None:
    assert (KEYS.fact_id(id_text) == id_text) is kept


def test_the_same_on_postgresql(postgres_url: str) -> None:
    from peerview_ingest.fhir.objection import Word
    from peerview_ingest.plan import Holder, Known, PatientState, Plan
    from peerview_ingest.store import Store

    name = f"ingest_{uuid.uuid4().hex[:8]}"
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    store = Store(postgres_url.rpartition("/")[0] + f"/{name}")
    row = Known(1, -1, False, b"d" * 32, b"c" * 16, (Holder(P1, 1),))
    plan = Plan(
        rows={b"k" * 16: row},
        patients={P1: PatientState(2, True)},
        words={b"w" * 16: (P1, Word(5, True, False))},
        persons={P1: b"n" * 16},
    )
    for _ in range(2):
        with store.turn(PRACTICE, "demo") as turn:
            turn.commit(plan, {"o": PRACTICE}, 1)
    with store.turn(PRACTICE, "demo") as turn:
        assert turn.organisations() == {"o": PRACTICE}
        known = turn.knowledge([b"k" * 16], [], [b"n" * 16])
    assert known.rows == {b"k" * 16: row}
    assert known.patients == {P1: PatientState(2, True)}
    assert known.words == {P1: {b"w" * 16: Word(5, True, False)}}
    assert known.persons == {b"n" * 16: {P1}}
    with store.turn(PRACTICE, "demo") as turn:
        turn.commit(Plan(objected=[P1], words={b"w" * 16: None}), {}, 2)
        known = turn.knowledge([b"k" * 16, b"w" * 16], [P1], [])
    assert (known.rows, known.words) == ({}, {})
    store.close()
    admin.dispose()


def _line(document: object) -> bytes:
    import json

    return json.dumps(document).encode() + b"\n"


async def test_a_submission_of_which_everything_is_refused_publishes_nothing(
    service: Service,
) -> None:
    answer = await service.bundle(bundle(condition(onsetDateTime="2026-02-31")))
    assert answer.headers["Peerview-Receipt"].startswith("accepted=0, rejected=1")
    assert service.log.sets() == []
