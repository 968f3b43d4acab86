"""Drops made by hand: a few columns in Fieldgate's form, and what a service makes of them."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from peerview_common.facts import Fact, newer
from peerview_ingest.extracts import catalogue
from peerview_ingest.extracts.mapping import Mapping as TableMapping
from peerview_ingest.extracts.resources import wanted_columns
from tests.ingest.builders import PRACTICE
from tests.ingest.conftest import Service

Row = Mapping[str, str]
FIELDGATE: TableMapping = next(each for each in catalogue.shipped() if each.name == "fieldgate")
LINDEN: TableMapping = next(each for each in catalogue.shipped() if each.name == "linden")
ON_BOTH = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)

DAY = "2026-05-20"
NEXT = "2026-05-21"


def guid(name: str) -> str:
    """A GUID that stands for a name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def person(name: str, **rest: str) -> dict[str, str]:
    """A row of Admin_Patient: the patient, and their registration."""
    return {
        "PatientGuid": guid(name),
        "Sex": "F",
        "DateOfBirth": "01/05/1960",
        "DateOfRegistration": "01/03/2015",
        **rest,
    }


def reading(name: str, patient: str, **rest: str) -> dict[str, str]:
    """A row of CareRecord_Observation: an HbA1c of 51."""
    return {
        "ObservationGuid": guid(name),
        "PatientGuid": guid(patient),
        "EffectiveDate": "02/01/2026",
        "SnomedConceptId": "999791000000106",
        "Value": "51",
        "NumericUnit": "mmol/mol",
        **rest,
    }


def problem(name: str, patient: str, **rest: str) -> dict[str, str]:
    """A row of CareRecord_Problem: diabetes."""
    return {
        "ProblemGuid": guid(name),
        "PatientGuid": guid(patient),
        "EffectiveDate": "20/02/2020",
        "SnomedConceptId": "44054006",
        "ProblemStatus": "Active",
        **rest,
    }


@dataclass
class Files:
    """The tables of a drop. ``updated`` fills the columns of the time of change where it is set."""

    patients: list[Row] = field(default_factory=list)
    observations: list[Row] = field(default_factory=list)
    conditions: list[Row] = field(default_factory=list)
    updated: str = ""

    def csv(self, table: str) -> bytes:
        mapped = FIELDGATE.table(table)
        assert mapped is not None
        names = wanted_columns(mapped)
        rows = {"registrations": self.patients}.get(table) or getattr(self, table, [])
        lines = [",".join(names), *(self._line(names, row) for row in rows)]
        return "".join(f"{line}\r\n" for line in lines).encode("utf-8-sig")

    def _line(self, names: Iterable[str], row: Row) -> str:
        filled = {
            "OrganisationOds": PRACTICE,
            "Deleted": "False",
            "AvailabilityDate": self.updated,
            **row,
        }
        return ",".join(filled.get(name, "") for name in names)

    def parts(self, tables: Iterable[str] = ()) -> dict[str, bytes]:
        """The named tables; all of the mapping without a name."""
        return {name: self.csv(name) for name in tables or dict(FIELDGATE.tables.given())}


async def put(
    service: Service,
    day: str,
    parts: Mapping[str, bytes],
    mode: str = "full",
    source: str = "fieldgate",
    query: str = "",
) -> httpx.Response:
    files = [(name, (f"{name}.csv", data, "text/csv")) for name, data in parts.items()]
    token = service.token_for(PRACTICE, system=source)
    headers = {"Authorization": f"Bearer {token}"}
    path = f"/v1/extracts/{day}?mode={mode}{query}"
    return await service.client.put(path, files=files, headers=headers)


async def send(
    service: Service, day: str, files: Files, mode: str = "full", tables: Iterable[str] = ()
) -> dict[str, Any]:
    """The report of a drop that is taken."""
    answer = await put(service, day, files.parts(tables), mode)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def decide(service: Service, method: str, path: str, **rest: Any) -> httpx.Response:
    """As a person who may."""
    token = service.token_for(PRACTICE, scope="ingest:confirm", subject="dr-okafor")
    return await service.client.request(
        method, f"/v1/extracts{path}", headers={"Authorization": f"Bearer {token}"}, **rest
    )


def held(service: Service) -> dict[bytes, dict[tuple[str, int, bytes], Fact]]:
    """What compute would hold: of each patient's facts the newest version, void ones left out."""
    found: dict[bytes, dict[tuple[str, int, bytes], Fact]] = {}
    generations: dict[bytes, int] = {}
    for change_set in service.log.sets():
        for change in change_set.patients:
            if change.generation < generations.get(change.patient, 0):
                continue
            if change.generation > generations.get(change.patient, 0):
                found[change.patient] = {}
                generations[change.patient] = change.generation
            facts = found[change.patient]
            for fact in change.facts:
                facts[fact.key] = newer(facts[fact.key], fact) if fact.key in facts else fact
    return {
        patient: {key: fact for key, fact in facts.items() if fact.body is not None}
        for patient, facts in found.items()
        if any(fact.body is not None for fact in facts.values())
    }


def count(service: Service) -> int:
    return sum(map(len, held(service).values()))
