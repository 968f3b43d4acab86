"""A row says what the FHIR resource would say; and what is wrong with one is told by its column."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from peerview_common import codes
from peerview_common.facts import Coded, Fact, ResourceType
from peerview_ingest.extracts.mapping import Mapping
from peerview_ingest.extracts.reading import RowRead, read_rows
from peerview_ingest.extracts.resources import compile_table, wanted_columns
from peerview_ingest.extracts.rows import Row, Rows, checked_header
from peerview_ingest.extracts.taking import the_day
from peerview_ingest.fhir import ClearKeys, Feed, Outcome, Reader, Receipt, Resolver
from peerview_tools.simulator import PRACTICES, history
from peerview_tools.simulator.extracts import write
from tests.ingest.builders import NOW, PRACTICE
from tests.ingest.extracts.drops import FIELDGATE, LINDEN, guid, person, problem, reading

DAY = date(2026, 4, 1)


def reader() -> Reader:
    return Reader(codes.shipped(), Feed(PRACTICE, "s"), ClearKeys(), Receipt(NOW))


def read_file(mapping: Mapping, table: str, path: Path) -> list[RowRead]:
    mapped = mapping.table(table)
    assert mapped is not None
    rows = Rows(mapping.file)
    header, *found = [*rows.feed(path.read_bytes()), *rows.end()]
    assert isinstance(header, Row)
    places = checked_header(header.cells, wanted_columns(mapped))
    compiled = compile_table(table, mapped, places, len(header.cells), mapping.file)
    return read_rows(found, compiled, reader(), the_day(DAY))


def read_row(table: str, row: dict[str, str]) -> RowRead:
    mapped = FIELDGATE.table(table)
    assert mapped is not None
    names = wanted_columns(mapped)
    places = {name: place for place, name in enumerate(names)}
    compiled = compile_table(table, mapped, places, len(names), FIELDGATE.file)
    filled = {"OrganisationOds": PRACTICE, "Deleted": "False", **row}
    cells = [filled.get(name, "") for name in names]
    (found,) = read_rows([Row(7, cells)], compiled, reader(), the_day(DAY))
    return found


def issue(found: RowRead) -> tuple[str, str]:
    assert found.read.outcome is Outcome.REJECTED
    (told,) = found.read.issues
    return told.expression, told.diagnostics


@pytest.fixture(scope="module")
def resources() -> list[dict[str, Any]]:
    return list(history(PRACTICES[2], DAY))


@pytest.fixture(scope="module")
def from_fhir(resources: list[dict[str, Any]]) -> dict[tuple[int, bytes], Fact]:
    reads = [reader().resource(each, Resolver()) for each in resources]
    return {(read.fact.type, read.fact.id): read.fact for read in reads if read.fact is not None}


@pytest.mark.parametrize("supplier", ["fieldgate", "linden"])
def test_every_row_becomes_the_fact_that_its_resource_becomes(
    supplier: str,
    resources: list[dict[str, Any]],
    from_fhir: dict[tuple[int, bytes], Fact],
    tmp_path: Path,
) -> None:
    """Fieldgate keeps ids and whole blood pressures, so its facts are compared one by one; of
    Linden's, who do not, what they say."""
    mapping = {"fieldgate": FIELDGATE, "linden": LINDEN}[supplier]
    write(supplier, tmp_path, PRACTICES[2].ods, DAY, resources)
    practice = Mapping.model_validate(mapping.model_dump(mode="python"))
    facts: list[Fact] = []
    for name, table in practice.tables.given():
        (path,) = tmp_path.glob(table.file)
        text = path.read_bytes().replace(PRACTICES[2].ods.encode(), PRACTICE.encode())
        path.write_bytes(text)
        reads = read_file(practice, name, path)
        assert not [row for row in reads if row.read.outcome is Outcome.REJECTED], name
        facts += [row.read.fact for row in reads if row.read.fact is not None]
    assert facts
    # a registration of Fieldgate's has its patient's id
    own = [fact for fact in facts if fact.type != ResourceType.EPISODE_OF_CARE]
    if supplier == "fieldgate":
        for fact in own:
            other = from_fhir[fact.type, fact.id]
            assert _without_practice(fact.body) == _without_practice(other.body)
        assert len(facts) == len(from_fhir)
    said = sorted(map(_said, facts)), sorted(map(_said, from_fhir.values()))
    assert [each for each in said[0] if each] == [each for each in said[1] if each]


def _without_practice(body: Any) -> Any:
    """A Patient in FHIR names the practice; the files say it by the registration alone."""
    if type(body).__name__ == "Person":
        return type(body)(body.birth, body.sex, body.died, 0, body.inactive_from, False)
    if type(body).__name__ == "Registration":
        return (True, body.start, body.end)
    return body


def _said(fact: Fact) -> str:
    body = _without_practice(fact.body)
    if isinstance(body, Coded):
        # a blood pressure of Linden's is two rows
        return "" if body.components or set(body.codes) & PRESSURES else repr(body)
    # GPs are numbers with Linden
    return re.sub(r"gp=b.*\)$", "", repr(body)) if body is not None else ""


PRESSURES = {72313002, 1091811000000102, 413606001, 413605002}


@pytest.mark.parametrize(
    ("table", "row", "told"),
    [
        ("observations", {"ObservationGuid": ""}, ("ObservationGuid", "is empty")),
        ("observations", {"PatientGuid": ""}, ("PatientGuid", "is empty")),
        (
            "observations",
            {"OrganisationOds": "A99002"},
            ("OrganisationOds", "is of another practice"),
        ),
        ("observations", {"OrganisationOds": ""}, ("OrganisationOds", "is empty")),
        (
            "observations",
            {"EffectiveDate": "31/02/2026"},
            ("EffectiveDate", "is not a possible date"),
        ),
        (
            "observations",
            {"EffectiveDate": "2026-02-01"},
            ("EffectiveDate", "fits no date format of the mapping"),
        ),
        (
            "observations",
            {"EffectiveDate": ""},
            ("EffectiveDate", "has no date, so it can take no part"),
        ),
        (
            "observations",
            {"SnomedConceptId": "9.99791E+14"},
            ("SnomedConceptId", "is a code that a spreadsheet has shortened"),
        ),
        (
            "observations",
            {"AvailabilityDate": "01/01/2031"},
            ("AvailabilityDate", "lies more than 24 hours ahead of receipt"),
        ),
        ("observations", {"Value": "caf\udce9"}, ("Value", "is not written in utf-8-sig")),
        ("patients", {"Sex": "Q"}, ("Sex", "is no word that the mapping knows")),
        (
            "patients",
            {"DateOfBirth": "1/1/85"},
            ("DateOfBirth", "fits no date format of the mapping"),
        ),
        (
            "registrations",
            {"DateOfDeactivation": "0/0/2020"},
            ("DateOfDeactivation", "is not a possible date"),
        ),
        (
            "conditions",
            {"ProblemStatus": "?"},
            ("ProblemStatus", "is no word that the mapping knows"),
        ),
        ("appointments", {"SlotStatus": ""}, ("SlotStatus", "is empty")),
        (
            "appointments",
            {"AppointmentDate": ""},
            ("AppointmentDate", "an appointment needs a start"),
        ),
        ("contacts", {"EffectiveDate": ""}, ("EffectiveDate", "an encounter needs a start")),
    ],
)
def test_what_is_wrong_is_told_by_its_column(
    table: str, row: dict[str, str], told: tuple[str, str]
) -> None:
    found = read_row(table, {**ROWS[table], **row})
    assert issue(found) == told
    assert found.line == 7
    empty = row.get("ObservationGuid") == ""
    assert found.nobodys is empty, "a row whose id can be read is somebody's"


ROWS: dict[str, dict[str, str]] = {
    "patients": person("p1"),
    "registrations": person("p1"),
    "observations": reading("o1", "p1"),
    "conditions": problem("c1", "p1"),
    "appointments": {
        "SlotGuid": guid("a1"),
        "PatientGuid": guid("p1"),
        "AppointmentDate": "12/01/2026",
        "AppointmentStartTime": "09:00:00",
        "BookedDate": "02/01/2026",
        "SlotStatus": "Left",
        "NationalCategory": "Home Visit",
    },
    "contacts": {
        "ConsultationGuid": guid("e1"),
        "PatientGuid": guid("p1"),
        "EffectiveDate": "02/01/2026",
        "ClinicianUserInRoleGuid": guid("gp1"),
        "ClinicianJobCategory": "General Medical Practitioner",
    },
}


@pytest.mark.parametrize("table", sorted(ROWS))
def test_the_rows_that_these_tests_spoil_are_fine(table: str) -> None:
    assert read_row(table, ROWS[table]).read.outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("contacts", {"ClinicianJobCategory": "Practice Nurse"}),
        ("contacts", {"ClinicianUserInRoleGuid": ""}),
        ("appointments", {"PatientGuid": ""}),
        ("observations", {"SnomedConceptId": "60621009"}),
        ("observations", {"SnomedConceptId": ""}),
    ],
)
def test_what_no_indicator_needs_is_dropped_and_no_mistake(table: str, row: dict[str, str]) -> None:
    assert read_row(table, {**ROWS[table], **row}).read.outcome is Outcome.DROPPED


def test_a_reading_that_is_not_plausible_is_taken_with_a_warning() -> None:
    found = read_row("observations", {**ROWS["observations"], "Value": "600"}).read
    assert found.outcome is Outcome.ACCEPTED
    assert [(each.severity, each.expression) for each in found.issues] == [("warning", "Value")]
    pair = {"Systolic": "140", "Diastolic": "900", "Value": ""}
    found = read_row("observations", {**ROWS["observations"], **pair}).read
    assert [each.expression for each in found.issues] == ["Diastolic"]


def test_both_numbers_in_one_row_are_a_panel_of_the_rows_setting() -> None:
    pair = {"SnomedConceptId": "", "Value": "", "Systolic": "138", "Diastolic": "84"}
    clinic = read_row("observations", {**ROWS["observations"], **pair}).read.fact
    home = read_row(
        "observations", {**ROWS["observations"], **pair, "ReadingPlace": "Home"}
    ).read.fact
    assert clinic is not None
    assert home is not None
    assert isinstance(clinic.body, Coded)
    assert isinstance(home.body, Coded)
    assert [part.codes for part in clinic.body.components] == [(72313002,), (1091811000000102,)]
    assert [part.codes for part in home.body.components] == [(413606001,), (413605002,)]
    assert [part.value for part in home.body.components] == [138, 84]


def test_a_row_without_a_time_of_its_own_has_the_drops_day() -> None:
    timed = read_row(
        "observations", {**ROWS["observations"], "AvailabilityDate": "02/01/2026"}
    ).read
    dated = read_row("observations", ROWS["observations"]).read
    assert timed.stamped
    assert not dated.stamped
    assert dated.fact is not None
    assert dated.fact.stamp == the_day(DAY).stamp


def test_ids_may_hold_what_a_reference_may_not() -> None:
    row = {**ROWS["observations"], "PatientGuid": "SR/12?3#4%"}
    (patient,) = read_row("observations", row).read.patients
    (same,) = read_row("patients", {**ROWS["patients"], "PatientGuid": "SR/12?3#4%"}).read.patients
    assert patient == same


def test_ragged_lines_are_nobodys() -> None:
    mapped = FIELDGATE.table("patients")
    assert mapped is not None
    names = wanted_columns(mapped)
    compiled = compile_table(
        "patients", mapped, {name: place for place, name in enumerate(names)}, len(names),
        FIELDGATE.file,
    )  # fmt: skip
    (found,) = read_rows([Row(3, ["a", "b"])], compiled, reader(), the_day(DAY))
    assert issue(found) == ("", f"has 2 fields, the header {len(names)}")
    assert found.nobodys
