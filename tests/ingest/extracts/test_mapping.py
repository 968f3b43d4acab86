"""Mappings: what is a mistake, and where it is told to be."""

from pathlib import Path

import pytest

from peerview_ingest.extracts import catalogue
from peerview_ingest.extracts.catalogue import Catalogue
from peerview_ingest.extracts.mapping import MappingError, read
from peerview_ingest.extracts.resources import wanted_columns

FOLDER = Path(catalogue.__file__).parent / "mappings"
LINDEN = (FOLDER / "linden.yaml").read_text()
SMALL = """
format: 1
name: small
tables:
  patients:
    file: p.csv
    dates: "%Y-%m-%d"
    id: Id
    birth: Born
    sex: {column: Sex, words: {M: male, F: female}}
"""


def mistakes(old: str, new: str, text: str = LINDEN) -> list[str]:
    assert old in text
    with pytest.raises(MappingError) as told:
        read("linden.yaml", text.replace(old, new, 1))
    return str(told.value).splitlines()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("delimiter: pipe", "delimiter: abc", "linden.yaml:11: file.delimiter: must be one sign"),
        ("format: 1", "format: 2", "linden.yaml:5: format: "),
        ("M: male", "M: mal", "linden.yaml:29: tables.patients.sex.words.M: "),
        ('"%Y%m%d"]', '"%y%m%d"]', "linden.yaml:17: every_table.dates[1]: %y leaves the century"),
        ("    gp: IDDoneBy\n", "", "linden.yaml:106: tables.contacts.gp: is needed"),
        ("SCT: snomed", "SCT: snomd", "linden.yaml:51: tables.observations.code.systems.SCT: "),
        ("CHV: Care Home Visit", "CHV: x", "linden.yaml:103: tables.appointments.category.words"),
        ("    value: Num", "    valu: Num", "linden.yaml:52: tables.observations.valu: no such"),
        ("name: linden", "name: linden\nname: x", "linden.yaml:7: name: said twice"),
        ("encoding: cp1252", "encoding: latin9", "linden.yaml:12: file.encoding: "),
        ("  contacts:\n", "  kontakts:\n", "linden.yaml:106: tables.kontakts: no such field"),
        ("quote: none", "quote: '\"\"'", "linden.yaml:13: file.quote: "),
        (", words: [GP]}", "}", "linden.yaml:113: tables.contacts.where[0].words: is needed"),
    ],
)
def test_a_mistake_is_told_by_file_line_and_field(old: str, new: str, told: str) -> None:
    assert mistakes(old, new)[0].startswith(told)


def test_every_mistake_is_told_at_once() -> None:
    assert (
        len(mistakes("id: RowIdentifier\n    nhs_number: NHSNumber\n    birth: DateBirth", "")) == 2
    )


def test_dates_are_needed_somewhere() -> None:
    assert mistakes('    dates: "%Y-%m-%d"\n', "", SMALL) == [
        "linden.yaml:5: tables.patients.dates: is needed here, or in every_table"
    ]


@pytest.mark.parametrize("text", ["", "- a", "a: [", "format: 1\nname: x\ntables: {}", "\t"])
def test_what_is_no_mapping_at_all_is_told_too(text: str) -> None:
    with pytest.raises(MappingError, match=r"^x\.yaml:\d+: "):
        read("x.yaml", text)


def test_words_of_the_supplier_stay_words() -> None:
    text = SMALL.replace("{M: male, F: female}", "{No: male, 0: female, on: other}")
    patients = read("x.yaml", text).tables.patients
    assert patients is not None
    assert patients.sex.words == {"No": "male", "0": "female", "on": "other"}


def test_a_table_inherits_what_it_does_not_say() -> None:
    text = SMALL + "\nevery_table: {practice: Ods, updated: [Day, Time], deleted: none}\n"
    table = read("x.yaml", text).table("patients")
    assert table is not None
    assert (table.practice, table.updated, table.deleted) == ("Ods", ("Day", "Time"), None)
    assert wanted_columns(table) == ["Ods", "Day", "Time", "Id", "Born", "Sex"]
    own = read("x.yaml", text.replace("    id: Id", "    id: Id\n    practice: none"))
    table = own.table("patients")
    assert table is not None
    assert table.practice is None


def test_two_mappings_of_one_source_system_or_name_are_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SMALL.replace("name: small", "name: a\nsources: [fieldgate]"))
    with pytest.raises(MappingError, match=r"fieldgate is named by two mappings: fieldgate and a"):
        Catalogue.of(tmp_path)
    (tmp_path / "a.yaml").write_text(SMALL)
    (tmp_path / "b.yaml").write_text(SMALL)
    with pytest.raises(MappingError, match=r"b\.yaml:1: name: a\.yaml has the same name"):
        Catalogue.of(tmp_path)


def test_the_operators_folder_takes_the_place_of_what_is_shipped(tmp_path: Path) -> None:
    own = SMALL.replace("name: small", "name: fieldgate\nsources: [mill-lane]")
    (tmp_path / "fieldgate.yaml").write_text(own)
    found = Catalogue.of(tmp_path)
    assert found.of_source("fieldgate") is None
    assert found.of_source("mill-lane") is not None
    assert found.of_source("linden") is not None
    with pytest.raises(MappingError, match="no such folder"):
        Catalogue.of(tmp_path / "nowhere")


def test_the_version_changes_with_what_is_said_and_not_with_comments() -> None:
    version = read("x.yaml", SMALL).version
    assert read("y.yaml", f"# a remark\n{SMALL}").version == version
    assert read("x.yaml", SMALL.replace("Born", "Birth")).version != version
