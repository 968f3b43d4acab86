"""Drops day after day: what changes, what vanishes, what comes back, in whatever order."""

from datetime import date
from typing import Any

import pytest
from sqlalchemy import func, select

from peerview_common.changes import BackfillCompleted
from peerview_common.facts import Coded, ResourceType
from peerview_ingest.extracts.reading import Day
from peerview_ingest.extracts.taking import the_day
from peerview_ingest.fhir import HmacKeys
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.tables import extract_facts
from tests.ingest.builders import PRACTICE, bundle, condition, dissent
from tests.ingest.conftest import Service
from tests.ingest.extracts.drops import (
    DAY,
    NEXT,
    ON_BOTH,
    Files,
    count,
    guid,
    held,
    person,
    problem,
    put,
    reading,
    send,
)

pytestmark = ON_BOTH
KEYS = HmacKeys(DEMONSTRATION_KEY, PRACTICE)
LATER = "2026-05-22"
EVERYBODY = ("anna", "bilal", "chloe")


def key(name: str) -> bytes:
    return KEYS.patient("fieldgate", guid(name))


def practice(*names: str, **rest: Any) -> Files:
    """Each patient with their registration, a problem and a reading."""
    return Files(
        patients=[person(name) for name in names or EVERYBODY],
        conditions=[problem(f"{name}-dm", name) for name in names or EVERYBODY],
        observations=[reading(f"{name}-hba1c", name) for name in names or EVERYBODY],
        **rest,
    )


def values(service: Service, name: str) -> list[Any]:
    """The values of a patient's readings."""
    found = held(service).get(key(name), {})
    return [
        fact.body.value
        for fact in found.values()
        if isinstance(fact.body, Coded) and fact.type == ResourceType.OBSERVATION
    ]


async def test_a_first_full_drop_is_taken_and_counted_by_table(service: Service) -> None:
    report = await send(service, DAY, practice())
    assert (report["state"], report["held"], report["mode"]) == ("complete", False, "full")
    tables = report["tables"]
    assert {name: tables[name]["accepted"] for name in tables if tables[name]["rows"]} == {
        "patients": 3,
        "registrations": 3,
        "conditions": 3,
        "observations": 3,
    }
    assert set(held(service)) == {key(name) for name in EVERYBODY}
    assert count(service) == 12
    assert report["positions"] == [{"partition": 0, "offset": len(service.log.records) - 2}]


@pytest.mark.parametrize("updated", ["", "18/05/2026"], ids=["dated by the drop", "timed rows"])
async def test_the_next_day_what_is_new_comes_in_and_what_is_gone_goes(
    service: Service, updated: str
) -> None:
    await send(service, DAY, practice(updated=updated))
    known = len(service.log.sets())
    today = practice("anna", "bilal", "dev", updated=updated)
    today.observations = [
        reading("anna-hba1c", "anna", Value="64", AvailabilityDate=updated and "20/05/2026"),
        reading("bilal-hba1c", "bilal"),
    ]
    report = await send(service, NEXT, today)
    assert report["tables"]["patients"]["unchanged"] == 2
    assert report["tables"]["observations"] | {"rejections": [], "warnings": []} == {
        "rows": 2,
        "accepted": 2,
        "unchanged": 1,
        "dropped": 0,
        "rejected": 0,
        "vanished": {"records": 1, "of": 3, "patients": 1, "of_patients": 3},
        "rejections": [],
        "warnings": [],
    }
    deleted = {name: number for name, number in report["deleted"].items() if number}
    assert deleted == {"patients": 1, "registrations": 1, "conditions": 1, "observations": 1}
    assert set(held(service)) == {key("anna"), key("bilal"), key("dev")}
    assert values(service, "anna") == [64]
    assert values(service, "bilal") == [51]
    sent = [
        fact
        for each in service.log.sets()[known:]
        for change in each.patients
        for fact in change.facts
    ]
    assert len(sent) == 3 + 1 + 4, "dev's three, anna's reading, chloe's four deletions"
    gone = [fact for fact in sent if fact.deleted]
    assert {fact.stamp for fact in gone} == {the_day_of(NEXT).stamp}


def the_day_of(text: str) -> Day:
    return the_day(date.fromisoformat(text))


async def test_a_drop_sent_again_changes_nothing(service: Service) -> None:
    await send(service, DAY, practice())
    before, known = held(service), len(service.log.sets())
    report = await send(service, DAY, practice())
    assert all(table["unchanged"] == table["accepted"] for table in report["tables"].values())
    assert held(service) == before
    assert not any(each.patients for each in service.log.sets()[known:])


@pytest.mark.parametrize("updated", ["", "18/05/2026"], ids=["dated by the drop", "timed rows"])
async def test_a_drop_put_right_and_sent_again_for_its_day_is_believed(
    service: Service, updated: str
) -> None:
    """The same time, another value; then a row less, and then it is back."""
    await send(service, DAY, practice(updated=updated))
    for value in ("64", "40", "51"):
        files = practice(updated=updated)
        files.observations[0] = reading("anna-hba1c", "anna", Value=value)
        await send(service, DAY, files)
        assert values(service, "anna") == [int(value)]
    await send(service, DAY, practice("bilal", "chloe", updated=updated))
    assert set(held(service)) == {key("bilal"), key("chloe")}
    await send(service, DAY, practice(updated=updated))
    assert set(held(service)) == {key(name) for name in EVERYBODY}


async def test_a_record_that_comes_back_counts_again_though_its_time_is_old(
    service: Service,
) -> None:
    await send(service, DAY, practice(updated="01/05/2026"))
    await send(service, NEXT, practice("anna", "bilal", updated="01/05/2026"))
    assert key("chloe") not in held(service)
    await send(service, LATER, practice(updated="01/05/2026"))
    assert values(service, "chloe") == [51]


async def test_an_older_full_drop_deletes_nothing_and_brings_nothing_back(
    service: Service,
) -> None:
    await send(service, NEXT, practice("anna", "bilal", updated="01/05/2026"))
    before = held(service)
    older = practice("bilal", "chloe", updated="01/05/2026")
    older.observations[0] = reading("bilal-hba1c", "bilal", Value="99")
    report = await send(service, DAY, older)
    assert report["older"] is True
    assert "deleted" not in report
    assert held(service) == before


async def test_drops_in_either_order_end_in_the_same(service: Service) -> None:
    """A practice of its own source system for each order."""
    first = practice(updated="01/05/2026")
    second = practice("anna", "dev", updated="01/05/2026")
    await send(service, DAY, first)
    await send(service, NEXT, second)
    in_order = {(f.type, f.id, f.body) for facts in held(service).values() for f in facts.values()}
    service.log.records.clear()
    service.log.kinds.clear()
    with service.ingest.store.writing() as connection:
        for table in ("facts", "patients", "extracts", "extract_facts", "sources"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    await send(service, NEXT, second)
    await send(service, DAY, first)
    reverse = {(f.type, f.id, f.body) for facts in held(service).values() for f in facts.values()}
    assert reverse == in_order


async def test_a_delta_adds_changes_and_deletes_what_it_says_and_nothing_else(
    service: Service,
) -> None:
    await send(service, DAY, practice())
    delta = Files(
        observations=[
            reading("anna-hba1c", "anna", Value="70"),
            reading("bilal-hba1c", "bilal", Deleted="True"),
            reading("chloe-second", "chloe", Value="45"),
        ]
    )
    report = await send(service, NEXT, delta, "delta", ["observations"])
    assert (report["state"], "deleted" in report) == ("complete", False)
    assert values(service, "anna") == [70]
    assert values(service, "bilal") == []
    assert sorted(values(service, "chloe")) == [45, 51]
    assert len(held(service)) == 3
    # the next full drop knows of it
    await send(service, LATER, practice())
    assert values(service, "chloe") == [51]
    assert values(service, "bilal") == [51]


async def test_a_full_drop_of_a_day_before_a_delta_leaves_the_deltas_records(
    service: Service,
) -> None:
    await send(service, DAY, practice())
    delta = Files(observations=[reading("anna-new", "anna", Value="45")])
    await send(service, LATER, delta, "delta", ["observations"])
    await send(service, NEXT, practice("anna", "bilal"))
    assert sorted(values(service, "anna")) == [45, 51]
    assert key("chloe") not in held(service)


async def test_a_table_that_is_missing_has_not_vanished(service: Service) -> None:
    await send(service, DAY, practice())
    before = held(service)
    answer = await put(service, NEXT, practice("anna").parts(["patients", "observations"]))
    assert answer.status_code == 422
    found = answer.json()
    assert found["type"] == "urn:peerview:problem:missing-tables"
    assert "conditions" in found["missing"]
    assert found["report"]["tables"]["patients"]["accepted"] == 1
    assert held(service) == before


async def test_a_delta_may_lack_tables_and_a_drop_may_not_be_empty(service: Service) -> None:
    assert (await put(service, DAY, {}, "delta")).status_code in (400, 415)
    report = await send(service, DAY, Files(), "delta", ["patients"])
    assert report["state"] == "complete"


async def test_a_row_that_is_refused_has_not_vanished(service: Service) -> None:
    await send(service, DAY, practice())
    files = practice()
    files.observations[0] = reading("anna-hba1c", "anna", EffectiveDate="31/02/2026")
    report = await send(service, NEXT, files)
    (told,) = report["tables"]["observations"]["rejections"]
    assert told == {
        "line": 2,
        "column": "EffectiveDate",
        "code": "value",
        "reason": "is not a possible date",
    }
    assert report["tables"]["observations"]["vanished"]["records"] == 0
    assert values(service, "anna") == [51]


async def test_an_id_that_is_there_twice_is_told(service: Service) -> None:
    files = practice()
    files.observations.append(reading("anna-hba1c", "anna", Value="99"))
    report = await send(service, DAY, files)
    (told,) = report["tables"]["observations"]["rejections"]
    assert (told["line"], told["column"]) == (5, "ObservationGuid")
    assert values(service, "anna") == [51]


async def test_a_type_1_objection_empties_the_patient_and_is_no_vanishing(
    service: Service,
) -> None:
    await send(service, DAY, practice())
    files = practice()
    word = {"SnomedConceptId": "", "LocalCode": "TYPE1DISSENT_COD", "Value": ""}
    files.observations.append(reading("word", "anna", **word))
    report = await send(service, NEXT, files)
    assert report["objections"] == 1
    assert report["tables"]["patients"]["vanished"] == {
        "records": 0, "of": 2, "patients": 0, "of_patients": 2,
    }  # fmt: skip
    assert set(held(service)) == {key("bilal"), key("chloe")}
    # and what tells one drop's records from another's forgets them too
    assert _tracked(service, key("anna")) == 0
    await send(service, LATER, files)
    assert _tracked(service, key("anna")) == 0
    # withdrawn: the next full drop brings everything back
    files.observations[-1] = {
        **files.observations[-1], "LocalCode": "TYPE1WITHDRAWN_COD", "EffectiveDate": "03/01/2026",
    }  # fmt: skip
    for day in ("2026-05-23", "2026-05-24"):
        await send(service, day, files)
    assert key("anna") in held(service)


def _tracked(service: Service, patient: bytes) -> int:
    query = select(func.count()).where(extract_facts.c.patient == patient)
    with service.ingest.store.engine.connect() as connection:
        return int(connection.scalar(query) or 0)


async def test_an_objection_by_fhir_forgets_the_drops_records_too(service: Service) -> None:
    await send(service, DAY, practice())
    token = service.token_for(PRACTICE, system="fieldgate")
    word = dissent() | {"subject": {"reference": f"Patient/{guid('anna')}"}}
    answer = await service.client.post(
        "/fhir", json=bundle(word), headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 202
    assert _tracked(service, key("anna")) == 0


async def test_records_of_a_fhir_feed_never_vanish_from_a_drop(service: Service) -> None:
    await send(service, DAY, practice())
    token = service.token_for(PRACTICE, system="fieldgate")
    anna = {"reference": f"Patient/{guid('anna')}"}
    await service.client.post(
        "/fhir",
        json=bundle(condition("live", subject=anna)),
        headers={"Authorization": f"Bearer {token}"},
    )
    known = count(service)
    await send(service, NEXT, practice())
    assert count(service) == known


async def test_a_version_by_fhir_that_is_newer_than_the_drop_is_kept(service: Service) -> None:
    await send(service, DAY, practice(updated="01/05/2026"))
    token = service.token_for(PRACTICE, system="fieldgate")
    live = condition(
        guid("chloe-dm"),
        code="44054006",
        subject={"reference": f"Patient/{guid('chloe')}"},
        meta={"lastUpdated": "2026-05-24T10:00:00Z"},
    )
    answer = await service.client.post(
        "/fhir", json=bundle(live), headers={"Authorization": f"Bearer {token}"}
    )
    assert "accepted=1" in answer.headers["Peerview-Receipt"]
    await send(service, NEXT, practice("anna", "bilal", updated="01/05/2026"))
    (left,) = held(service)[key("chloe")].values()
    assert left.type == ResourceType.CONDITION


async def test_a_complete_full_drop_ends_the_wait_for_codes(service: Service) -> None:
    report = await send(service, DAY, practice())
    (event,) = [each for each in service.log.events() if isinstance(each, BackfillCompleted)]
    assert (event.practice, event.codes) == (PRACTICE, service.ingest.codes.version)
    assert report["waits_for"] == []
    assert isinstance(service.log.events()[-1], BackfillCompleted), "behind all its records"
    await send(service, NEXT, Files(), "delta", ["patients"])
    await put(service, NEXT, practice().parts(["patients"]))
    events = [each for each in service.log.events() if isinstance(each, BackfillCompleted)]
    assert len(events) == 1, "a delta and a drop that is not whole end nothing"


async def test_the_feed_is_whole_up_to_the_drops_day_and_not_before_its_end(
    service: Service,
) -> None:
    await send(service, DAY, practice())
    *parts, last = service.log.sets()
    assert {each.data_through for each in parts} == {0}
    assert last.data_through == the_day_of(DAY).end
    await send(service, "2026-05-19", practice(), "delta")
    assert service.log.sets()[-1].data_through == the_day_of("2026-05-19").end
    await send(service, "2026-05-29", practice())
    newest = service.log.sets()[-1]
    assert newest.data_through == newest.received, "no feed is whole beyond the present"
    heartbeat = await service.send("POST", "/v1/heartbeat")
    assert heartbeat.status_code == 202
    assert service.log.sets()[-1].data_through == service.log.sets()[-1].received
    assert service.log.sets()[-1].patients == []
