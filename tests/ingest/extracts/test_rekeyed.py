"""Drops of a practice that is re-keyed: the former keys' records have not vanished by them."""

from typing import Any

from peerview_common.changes import PatientRekeyed
from peerview_ingest.fhir import HmacKeys
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.tables import extract_facts, sources
from tests.ingest.builders import PRACTICE, bundle, patient
from tests.ingest.computing import Computed
from tests.ingest.conftest import Service
from tests.ingest.extracts.drops import DAY, NEXT, ON_BOTH, Files, guid, person, problem, send
from tests.ingest.test_patients import rows
from tests.ingest.test_rekeying import Operator

pytestmark = ON_BOTH
LATER = "2026-05-22"
EVERYBODY = ("anna", "bilal", "chloe")
NEW = HmacKeys(DEMONSTRATION_KEY, PRACTICE, 2)


def drop(*names: str) -> Files:
    return Files(
        patients=[person(name) for name in names],
        conditions=[problem(f"{name}-dm", name) for name in names],
    )


def computed(service: Service) -> Computed:
    return Computed(service.log.events())


def new(*names: str) -> set[bytes]:
    return {NEW.patient("fieldgate", guid(name)) for name in names}


async def test_full_drops_re_key_a_practice(service: Service) -> None:
    operator = Operator(service)
    await send(service, DAY, drop(*EVERYBODY))
    figures = computed(service).figures(PRACTICE)
    await operator.begin()
    report = await send(service, NEXT, drop(*EVERYBODY))
    assert (report["state"], report["held"]) == ("complete", False)
    assert not any(report["deleted"].values()), "nothing has vanished"
    status = await operator.status()
    assert (status["matched"], status["unmatched"]) == (3, 0)
    await operator.finish()
    assert computed(service).values(PRACTICE) == (figures, {"current"})
    assert computed(service).holders(PRACTICE) == new(*EVERYBODY)
    moved = [each for each in service.log.events() if isinstance(each, PatientRekeyed)]
    assert len(moved) == 3
    assert {row.key_version for row in rows(service, extract_facts)} == {2}


async def test_what_vanishes_in_between_and_afterwards_is_deleted(service: Service) -> None:
    operator = Operator(service)
    await send(service, DAY, drop(*EVERYBODY))
    await operator.begin()
    await send(service, DAY, drop(*EVERYBODY))
    await send(service, NEXT, drop("anna", "bilal"))
    await operator.finish()
    assert computed(service).present(PRACTICE) == new("anna", "bilal")
    await send(service, LATER, drop("anna"))
    assert computed(service).present(PRACTICE) == new("anna")


async def test_a_drop_that_comes_again_is_no_news(service: Service) -> None:
    operator = Operator(service)
    await send(service, DAY, drop(*EVERYBODY))
    await operator.begin()
    await send(service, NEXT, drop(*EVERYBODY))
    records = _facts(service)
    await send(service, NEXT, drop(*EVERYBODY))
    assert _facts(service) == records


async def test_when_it_is_left_the_former_marks_go_on(service: Service) -> None:
    operator = Operator(service)
    await send(service, DAY, drop(*EVERYBODY))
    await operator.begin()
    assert (await operator.call("DELETE")).status_code == 200
    report = await send(service, NEXT, drop("anna"))
    assert report["deleted"]["patients"] == 2
    old = HmacKeys(DEMONSTRATION_KEY, PRACTICE)
    assert computed(service).present(PRACTICE) == {old.patient("fieldgate", guid("anna"))}


async def test_a_system_that_sends_no_more_is_waited_for_no_more(service: Service) -> None:
    operator = Operator(service)
    await service.bundle(bundle(patient("p1")))
    await send(service, DAY, drop(*EVERYBODY))
    assert {row.source for row in rows(service, sources)} == {"demo", "fieldgate"}
    await operator.begin()
    await send(service, NEXT, drop(*EVERYBODY))
    await operator.finish("empty")
    assert {row.source for row in rows(service, sources)} == {"fieldgate"}


def _facts(service: Service) -> list[Any]:
    return [
        fact for each in service.log.sets() for change in each.patients for fact in change.facts
    ]
