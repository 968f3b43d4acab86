"""What vanishes in great numbers waits for a person."""

from typing import Any

import pytest
from prometheus_client import REGISTRY

from peerview_common.changes import BackfillCompleted
from tests.ingest.builders import PRACTICE
from tests.ingest.conftest import Service
from tests.ingest.extracts.drops import (
    DAY,
    NEXT,
    ON_BOTH,
    Files,
    count,
    decide,
    guid,
    held,
    person,
    put,
    reading,
    send,
)

LATER = "2026-05-22"


def practice(size: int, *, first: int = 0, readings: int = 1) -> Files:
    """``size`` patients from ``first`` on, with so many readings each."""
    names = [f"p{number}" for number in range(first, first + size)]
    return Files(
        patients=[person(name) for name in names],
        observations=[
            reading(f"{name}/{number}", name) for name in names for number in range(readings)
        ],
    )


def metric(outcome: str, mode: str = "full") -> float:
    labels = {"mode": mode, "outcome": outcome}
    return REGISTRY.get_sample_value("peerview_ingest_extracts_total", labels) or 0


async def hold(service: Service, **rest: Any) -> dict[str, Any]:
    """A full drop of 40 patients, and the next day one of 28 of them and two new ones."""
    await send(service, DAY, practice(40, **rest))
    report = await send(service, NEXT, practice(30, first=12, **rest))
    assert report["held"] is True
    return report


async def test_a_fifth_of_a_practice_does_not_vanish_without_a_person(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    before = metric("held")
    report = await hold(service)
    assert report["state"] == "held"
    assert "deleted" not in report
    assert {
        (each["table"], each["reason"], each["number"], each["of"]) for each in report["why"]
    } == {
        (table, reason, 12, 42)
        for table in ("patients", "registrations", "observations")
        for reason in ("records-vanished", "patients-vanished")
    }
    assert len(held(service)) == 42, "what is new was taken, nothing was deleted"
    assert metric("held") == before + 1
    assert not _completed(service, 2), "its rows may be missing: that is no whole submission"


def _completed(service: Service, number: int) -> bool:
    events = [each for each in service.log.events() if isinstance(each, BackfillCompleted)]
    return len(events) >= number


@ON_BOTH
async def test_confirmed_it_deletes_and_is_complete(service: Service) -> None:
    await hold(service)
    before = metric("confirmed")
    answer = await decide(service, "POST", f"/{NEXT}/confirm")
    assert answer.status_code == 202
    done = answer.json()
    assert (done["state"], done["source"]) == ("complete", "fieldgate")
    assert {name: number for name, number in done["deleted"].items() if number} == {
        "patients": 12,
        "registrations": 12,
        "observations": 12,
    }
    assert len(held(service)) == 30
    assert metric("confirmed") == before + 1
    assert _completed(service, 2)
    newest, _ = (await decide(service, "GET", "")).json()["extracts"]
    assert (newest["state"], newest["held"]) == ("complete", False)
    assert newest["decided_by"] == "dr-okafor"
    assert newest["deleted"]["patients"] == 12
    assert newest["tables"]["patients"]["rows"] == 30
    again = await decide(service, "POST", f"/{NEXT}/confirm")
    assert again.status_code == 404


async def test_rejected_it_deletes_nothing_and_the_next_drop_decides_anew(
    service: Service,
) -> None:
    await hold(service)
    answer = await decide(service, "DELETE", f"/{NEXT}/held")
    assert (answer.status_code, answer.json()["state"]) == (200, "rejected")
    assert len(held(service)) == 42
    assert (await decide(service, "POST", f"/{NEXT}/confirm")).status_code == 404
    whole = await send(service, LATER, practice(42))
    assert (whole["state"], whole["tables"]["patients"]["vanished"]["records"]) == ("complete", 0)
    assert len(held(service)) == 42


@ON_BOTH
async def test_a_later_full_drop_takes_the_place_of_a_held_one(service: Service) -> None:
    await hold(service)
    report = await send(service, LATER, practice(31, first=12))
    assert report["held"] is True, "what was held is counted again"
    states = [each["state"] for each in (await decide(service, "GET", "")).json()["extracts"]]
    assert states == ["held", "superseded", "complete"]
    assert (await decide(service, "POST", f"/{NEXT}/confirm")).status_code == 404
    assert (await decide(service, "POST", f"/{LATER}/confirm")).status_code == 202
    assert len(held(service)) == 31


async def test_a_delta_after_a_held_drop_changes_nothing_about_it(service: Service) -> None:
    await hold(service)
    late = Files(observations=[reading("p0/0", "p0", Value="60")])
    await send(service, LATER, late, "delta", ["observations"])
    assert (await decide(service, "POST", f"/{NEXT}/confirm")).status_code == 202
    left = held(service)
    assert len(left) == 31, "p0's reading is newer than the drop that did not have it"


@ON_BOTH
async def test_what_came_by_another_way_meanwhile_is_not_deleted(service: Service) -> None:
    await hold(service)
    token = service.token_for(PRACTICE, system="fieldgate")
    live = {
        "resourceType": "Observation",
        "id": guid("p3/0"),
        "meta": {"lastUpdated": "2026-05-23T08:00:00Z"},
        "status": "final",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "999791000000106"}]},
        "subject": {"reference": f"Patient/{guid('p3')}"},
        "effectiveDateTime": "2026-05-23",
        "valueQuantity": {"value": 48, "code": "mmol/mol"},
    }
    headers = {"Authorization": f"Bearer {token}"}
    await service.client.put(f"/fhir/Observation/{live['id']}", json=live, headers=headers)
    await decide(service, "POST", f"/{NEXT}/confirm")
    assert len(held(service)) == 31


@ON_BOTH
async def test_patients_are_counted_beside_records(service: Service) -> None:
    """A tenth of the readings, but a quarter of those who had one."""
    files = practice(40)
    files.observations += [
        reading(f"more {number}", "p0", EffectiveDate="03/01/2026") for number in range(100)
    ]
    await send(service, DAY, files)
    files.observations = [
        row for row in files.observations if row["PatientGuid"] not in map(guid, _names(1, 12))
    ]
    report = await send(service, NEXT, files)
    assert [(each["table"], each["reason"]) for each in report["why"]] == [
        ("observations", "patients-vanished")
    ]
    assert report["why"][0]["number"] == 11


def _names(first: int, last: int) -> list[str]:
    return [f"p{number}" for number in range(first, last)]


async def test_in_a_small_practice_a_few_may_go(service: Service) -> None:
    minimum = service.ingest.settings.extract_hold_minimum
    await send(service, DAY, practice(minimum + 8))
    report = await send(service, NEXT, practice(minimum - 1, first=9))
    assert report["state"] == "complete", "nine of eighteen, and fewer than ten"
    assert len(held(service)) == minimum - 1


async def test_an_empty_file_is_a_vanishing_of_all(service: Service) -> None:
    await send(service, DAY, practice(12))
    report = await send(service, NEXT, Files())
    assert report["held"] is True
    assert len(held(service)) == 12


async def test_lines_that_nobody_can_read_may_be_what_seems_gone(service: Service) -> None:
    await send(service, DAY, practice(30))
    parts = practice(29).parts()
    parts["observations"] += b"ragged,line\r\n"
    answer = await put(service, NEXT, parts)
    report = answer.json()
    assert [(each["table"], each["reason"], each["number"]) for each in report["why"]] == [
        ("observations", "rows-unreadable", 1)
    ]
    assert count(service) == 90
    # with nothing gone there is nothing to hold
    parts = practice(30).parts()
    parts["observations"] += b"ragged,line\r\n"
    assert (await put(service, LATER, parts)).json()["state"] == "complete"


async def test_a_table_of_which_much_is_refused_is_held_though_nothing_is_gone(
    service: Service,
) -> None:
    await send(service, DAY, practice(30))
    files = practice(30)
    files.observations = [
        {**row, "EffectiveDate": "2026-01-02"} if number < 12 else row
        for number, row in enumerate(files.observations)
    ]
    report = await send(service, NEXT, files)
    assert [(each["table"], each["reason"]) for each in report["why"]] == [
        ("observations", "rows-rejected")
    ]
    assert not _completed(service, 2)


async def test_only_a_person_with_the_scope_decides(service: Service) -> None:
    await hold(service)
    feed = {"Authorization": f"Bearer {service.token_for(PRACTICE, system='fieldgate')}"}
    for method, path in (("POST", "confirm"), ("DELETE", "held")):
        answer = await service.client.request(method, f"/v1/extracts/{NEXT}/{path}", headers=feed)
        assert answer.status_code == 403
        assert "ingest:confirm" in answer.text
    assert (await service.client.get("/v1/extracts", headers=feed)).status_code == 200
    stranger = service.token_for("A99002", scope="ingest:confirm")
    answer = await service.client.post(
        f"/v1/extracts/{NEXT}/confirm", headers={"Authorization": f"Bearer {stranger}"}
    )
    assert answer.status_code == 404, "another practice's"
    assert len(held(service)) == 42


async def test_of_several_source_systems_one_must_be_named(service: Service) -> None:
    await hold(service)
    # Linden drops nothing of its forty patients the next day either
    linden = _linden(range(40))
    assert (await put(service, DAY, linden, source="linden")).json()["state"] == "complete"
    assert (await put(service, NEXT, _linden(range(5)), source="linden")).json()["held"]
    answer = await decide(service, "POST", f"/{NEXT}/confirm")
    assert (answer.status_code, answer.json()["title"]) == (400, "source needed")
    answer = await decide(service, "POST", f"/{NEXT}/confirm", params={"source": "linden"})
    assert answer.json()["deleted"]["patients"] == 35


def _linden(numbers: range) -> dict[str, bytes]:
    from peerview_ingest.extracts.resources import wanted_columns
    from tests.ingest.extracts.drops import LINDEN

    parts = {}
    for name, table in LINDEN.tables.given():
        names = wanted_columns(table)
        rows = [
            {
                "RowIdentifier": str(number),
                "OrganisationVisibleTo": PRACTICE,
                "DateBirth": "19600501",
                "Gender": "F",
            }
            for number in (numbers if name == "patients" else ())
        ]
        lines = ["|".join(names), *("|".join(row.get(key, "") for key in names) for row in rows)]
        parts[name] = "\n".join(lines).encode("cp1252")
    return parts


async def test_a_confirmation_that_is_cut_short_is_finished_by_another(service: Service) -> None:
    await hold(service)
    service.log.away = "gone"
    answer = await decide(service, "POST", f"/{NEXT}/confirm")
    assert answer.status_code == 503
    assert len(held(service)) == 42
    service.log.away = None
    assert (await decide(service, "POST", f"/{NEXT}/confirm")).status_code == 202
    assert len(held(service)) == 30
