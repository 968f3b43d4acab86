"""The stream counts what a recount of the same records counts, also when it is killed meanwhile."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from peerview_tools.client import Client
from peerview_tools.demo import actions
from peerview_tools.demo.actions import Loaded
from peerview_tools.demo.stack import ServiceDiedError
from peerview_tools.simulator import Practice, history
from peerview_tools.synthea import REFERENCE_DATE
from tests.endtoend.stack import DAY, World, practice, running
from tests.reference.recount import INDICATORS, recount

pytestmark = pytest.mark.broker

SYNTHEA = Path(__file__).parents[1] / "fixtures" / "synthea-30.ndjson.gz"


def test_synthea_through_ingest_counts_what_the_recount_counts(world: World) -> None:
    assert REFERENCE_DATE == DAY
    clinic = Practice("A99020", "Synthea", 0, 0, practice("A99020").quality, system="synthea")
    with world.system(clinic) as system:
        answer = actions.bulk_file(system, SYNTHEA)
        assert answer.status == 202, answer.data[:500]
        taken = actions.receipt(answer.json(), 0)
    with world.staff(clinic) as staff:
        live = actions.await_counted(staff, clinic.ods, taken.positions, check=world.stack.check)
    expected = recount([SYNTHEA], DAY, clinic.ods)
    names = ("denominator", "numerator", "met", "miss", "exception", "excluded")
    for indicator in INDICATORS:
        found = {name: live[indicator][name] for name in names}
        assert found == {name: expected[indicator][name] for name in names}, indicator
        assert found["denominator"] > 0


def test_compute_killed_in_the_middle_ends_in_the_same_counts(
    bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    who = practice("A99030", size=400, seed=30)
    records = list(history(who, DAY))
    parts = [records[start : start + 100] for start in range(0, len(records), 100)]
    with running(tmp_path, bootstrap, topic_prefix) as world:
        sent, half_way = Loaded(), threading.Event()

        def send_all() -> None:
            with world.system(who) as system:
                for n, part in enumerate(parts):
                    sent.add(actions.bulk(system, part))
                    if n >= len(parts) // 2:
                        half_way.set()

        sending = threading.Thread(target=send_all)
        sending.start()
        assert half_way.wait(60), "ingest took no half of the records in 60 s"
        assert world.stack.compute.metrics()["peerview_compute_facts_total"] > 0
        world.stack.compute.kill()
        sending.join(60)
        assert sent.sent == len(records), "ingest did not go on while compute was away"
        world.stack.compute.start()
        world.stack.wait_ready("compute")
        expected = world.evaluated(who, tmp_path)
        with world.staff(who) as staff:
            live = actions.await_counted(staff, who.ods, sent.positions, check=world.stack.check)
        assert actions.counts_of(live) == expected

        # and again after a second kill with nothing new: rebuilt from the log alone
        world.stack.compute.kill()
        world.stack.compute.start()
        world.stack.wait_ready("compute")
        with world.system(who) as system, world.staff(who) as staff:
            again = actions.bulk(system, records)
            assert again.unchanged == again.accepted
            probe = actions.bulk(system, [_one_more(records)])
            live = actions.await_counted(staff, who.ods, probe.positions, check=world.stack.check)
        assert actions.counts_of(live) == expected


def _one_more(records: list[dict]) -> dict:
    """A new fact that changes no count: a reading of long ago."""
    reading = next(r for r in records if r["resourceType"] == "Observation" and "component" in r)
    then = (DAY - timedelta(days=3000)).isoformat()
    return reading | {"id": "one-more", "effectiveDateTime": then}


def test_a_service_that_ends_by_itself_is_reported_with_its_last_words(
    bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    wrong = {"MASTER_KEY": "not hex"}
    with (
        pytest.raises(ServiceDiedError) as told,
        running(tmp_path, bootstrap, topic_prefix, settings=wrong),
    ):
        pytest.fail("it became ready")
    assert "the ingest service ended with exit code 2" in str(told.value)
    assert "PEERVIEW_MASTER_KEY" in str(told.value)


def test_opting_out_takes_a_patient_out_of_every_count(world: World, tmp_path: Path) -> None:
    who = practice("A99040", size=60, seed=40)
    records = list(history(who, DAY))
    with world.system(who) as system, world.staff(who) as staff:
        taken = actions.bulk(system, records)
        live = actions.await_counted(staff, who.ods, taken.positions, check=world.stack.check)
        before = live["broad-abx"]
        patient = _registered(system, records)
        taken = actions.bulk(system, [_objection(patient)])
        live = actions.await_counted(staff, who.ods, taken.positions, check=world.stack.check)
    assert live["broad-abx"]["denominator"] == before["denominator"] - 1


def _registered(system: Client, records: list[dict]) -> str:
    left = {r["patient"]["reference"] for r in records if r.get("period", {}).get("end")}
    return next(
        r["id"]
        for r in records
        if r["resourceType"] == "Patient"
        and f"Patient/{r['id']}" not in left
        and "deceasedDateTime" not in r
        and not any("TYPE1" in str(x) for x in records if r["id"] in str(x))
    )


def _objection(patient: str) -> dict:
    return {
        "resourceType": "Observation",
        "id": "objection",
        "status": "final",
        "code": {"coding": [{"system": "urn:peerview:cluster", "code": "TYPE1DISSENT_COD"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": "2026-03-01",
    }
