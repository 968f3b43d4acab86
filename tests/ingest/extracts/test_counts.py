"""The same made-up practice as FHIR and as the drops of two suppliers: the same counts."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from peerview_common.changes import PatientChange
from peerview_common.days import day_of
from peerview_common.ids import ods_code
from peerview_compute.model.core import Core, shipped_definitions
from peerview_ingest.fhir.collect import collect
from peerview_tools.evaluate import counts
from peerview_tools.simulator import PRACTICES, history
from peerview_tools.simulator.extracts import write
from tests.ingest.builders import PRACTICE, codes
from tests.ingest.conftest import Service
from tests.ingest.extracts.drops import FIELDGATE, LINDEN, held, put

DAY = date(2026, 4, 1)
NAMES = ("denominator", "numerator", "met", "miss", "exception", "excluded")
CLINIC = next(each for each in PRACTICES if each.ods == PRACTICE)


@pytest.fixture(scope="module")
def resources() -> list[dict[str, Any]]:
    return list(history(CLINIC, DAY))


@pytest.fixture(scope="module")
def expected(resources: list[dict[str, Any]]) -> dict[str, Any]:
    """What `peerview evaluate` counts on the FHIR."""
    ods = ods_code(PRACTICE)
    collected = collect(resources, practice=ods, codes=codes.shipped())
    return counted(counts(collected, practice=ods, day=DAY)["indicators"])


def counted(indicators: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(sums[each] for each in NAMES) for name, sums in sorted(indicators.items())}


def from_the_log(service: Service) -> dict[str, Any]:
    """What compute's core counts on what the log holds."""
    core = Core(shipped_definitions())
    tally = core.tally()
    for patient, facts in held(service).items():
        change = PatientChange(patient, 1, False, list(facts.values()))
        tally.add(core.apply(None, change, day_of(DAY)).after)
    return {
        name: tuple(getattr(sums, each) for each in NAMES)
        for name, sums in sorted(zip(core.definitions.indicators, tally.counts, strict=True))
    }


def drop(
    supplier: str, folder: Path, resources: list[dict[str, Any]], **rest: Any
) -> dict[str, bytes]:
    """The files of a drop, by table."""
    mapping = {"fieldgate": FIELDGATE, "linden": LINDEN}[supplier]
    write(supplier, folder, PRACTICE, DAY, resources, **rest)
    return {
        name: next(folder.glob(table.file)).read_bytes() for name, table in mapping.tables.given()
    }


def test_the_practice_has_something_to_count(expected: dict[str, Any]) -> None:
    assert len(expected) == 12
    assert all(sums[0] > 0 for sums in expected.values())
    assert sum(sums[4] for sums in expected.values()) > 0, "exceptions too"


@pytest.mark.parametrize("supplier", ["fieldgate", "linden"])
async def test_a_suppliers_drop_counts_what_fhir_counts(
    service: Service,
    supplier: str,
    resources: list[dict[str, Any]],
    expected: dict[str, Any],
    tmp_path: Path,
) -> None:
    answer = await put(
        service, DAY.isoformat(), drop(supplier, tmp_path, resources), source=supplier
    )
    report = answer.json()
    assert report["state"] == "complete", report
    assert not any(table["rejected"] for table in report["tables"].values())
    assert report["objections"] > 0
    assert from_the_log(service) == expected


@pytest.mark.parametrize("supplier", ["fieldgate", "linden"])
async def test_a_delta_with_removed_rows_comes_to_what_was_never_there(
    service: Service,
    supplier: str,
    resources: list[dict[str, Any]],
    expected: dict[str, Any],
    tmp_path: Path,
) -> None:
    """Everything, then a delta that takes every fifth clinical record back."""
    clinical = {"Observation", "Condition", "MedicationRequest", "Encounter", "Appointment"}
    # not the words of those who object: of them nothing was kept that could count again
    some = [
        each
        for each in resources
        if each["resourceType"] in clinical and "TYPE1DISSENT" not in str(each)
    ][::5]
    gone = {each["id"] for each in some}
    rest = [each for each in resources if each["id"] not in gone]
    day = DAY.isoformat()
    await put(service, day, drop(supplier, tmp_path / "a", resources), source=supplier)
    delta = drop(supplier, tmp_path / "b", [], removed=some)
    answer = await put(service, day, delta, "delta", source=supplier)
    assert answer.json()["state"] == "complete"
    collected = collect(rest, practice=ods_code(PRACTICE), codes=codes.shipped())
    left = counts(collected, practice=ods_code(PRACTICE), day=DAY)["indicators"]
    assert from_the_log(service) == counted(left) != expected
