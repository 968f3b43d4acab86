"""`peerview codes` and `peerview indicators`: a list is checked before it counts."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import peerview_common.codes
from peerview_common.catalogue import catalogue, without_stand_ins
from peerview_common.codes import CodeList, CodeListError, shipped
from peerview_common.codes.checking import read_rows
from peerview_compute.model.definitions import (
    DefinitionError,
    load_definitions,
    load_directory,
    shipped_definitions,
)
from peerview_tools.cli import app

SHIPPED = Path(peerview_common.codes.__file__).with_name("clusters.csv")
HEADER = "cluster,system,code,origin\n"


def problems(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "list.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(CodeListError) as raised:
        read_rows(path)
    return str(raised.value).splitlines()


def test_the_shipped_list_has_no_mistake() -> None:
    assert CodeList(read_rows(SHIPPED)).version == shipped().version


def test_every_mistake_is_told_by_its_line(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        HEADER
        + "HYP_COD,http://snomed.info/sct,38341003,a\n"
        + ",http://snomed.info/sct,59621000,a\n"
        + "HYP_COD,http://snomed.info/sct,  ,a\n"
        + "HYP_COD,http://snomed.info/sct,1.10992E+15,a\n"
        + "\n"
        + "HYP_COD,https://dmd.nhs.uk,38341003,again\n"
        + "hyp cod,urn:x,1,a\n"
        + "STATIN_RX,bnf-prefix,b*,a\n"
        + "HYP_COD,urn:x\n"
        + "HYP_COD,urn:x,2,\n",
    )
    assert found == [
        "list.csv:3: cluster: is empty",
        "list.csv:4: code: is empty",
        "list.csv:5: code: '1.10992E+15' is no SNOMED CT identifier: 6 to 18 digits (a spreadsheet "
        "may have changed it)",
        "list.csv:7: code: the same code is in HYP_COD on line 2",
        "list.csv:8: cluster: 'hyp cod' is no name: capital letters, digits and _ make one",
        "list.csv:9: code: 'b*' is no start of a BNF code",
        "list.csv:10: 2 fields, where 4 belong",
        "list.csv:11: origin: is empty",
    ]


def test_columns_are_checked_first(tmp_path: Path) -> None:
    assert problems(tmp_path, "cluster,system,code,note\nA,b,c,d\n") == [
        "list.csv:1: origin: this column is missing; the columns are cluster,system,code,origin",
        "list.csv:1: note: no such column; the columns are cluster,system,code,origin",
    ]
    assert problems(tmp_path, HEADER) == ["list.csv:1: the list has no rows"]
    assert "missing" in problems(tmp_path, "")[0]


def test_an_imported_list_is_usable_and_guards_its_name(tmp_path: Path) -> None:
    full = tmp_path / "full.csv"
    text = SHIPPED.read_text("utf-8")
    full.write_text(text.replace("stand-in", "the practice's own").replace("from memory", "book"))
    with full.open("a") as file:
        file.write("HYP_COD,http://snomed.info/sct,999999991000000101,extra\n")
    answer = CliRunner().invoke(
        app, ["codes", "import", str(full), "--name", "national", "--into", str(tmp_path / "l")]
    )
    assert answer.exit_code == 0, answer.output
    (path,) = (tmp_path / "l").iterdir()
    codes = CodeList.load(path)
    assert path.name == f"national-{codes.version}.csv"
    assert codes.version != shipped().version
    assert f"PEERVIEW_CODE_LIST={path}" in answer.output.replace("\n", "")
    assert "demonstration only" not in answer.output
    named = load_definitions(None, path)
    assert named.codes_version == codes.version
    assert not any(named.demonstration_only(name) for name in named.indicators)
    path.write_text(path.read_text().replace("999999991000000101", "1234567"))
    with pytest.raises(CodeListError, match=f"its name says version {codes.version}"):
        CodeList.load(path)


def test_what_the_definitions_need_and_the_list_lacks_is_told(tmp_path: Path) -> None:
    lines = [x for x in SHIPPED.read_text("utf-8").splitlines() if not x.startswith("NOCX_COD")]
    (tmp_path / "short.csv").write_text("\n".join(lines))
    answer = CliRunner().invoke(
        app, ["codes", "import", str(tmp_path / "short.csv"), "--into", str(tmp_path)]
    )
    assert answer.exit_code == 0
    assert "lacking: NOCX_COD, needed by cervical" in answer.output
    assert "compute refuses to start" in answer.output


def test_a_bad_list_is_not_imported(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(HEADER + "A,urn:x,,o\n")
    answer = CliRunner().invoke(
        app, ["codes", "import", str(tmp_path / "bad.csv"), "--into", str(tmp_path / "out")]
    )
    assert answer.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_a_definition_made_for_another_list_says_both_versions(tmp_path: Path) -> None:
    folder = Path(peerview_common.codes.__file__).parents[4]
    source = folder / "services/compute/peerview_compute/indicators"
    for path in source.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    changed = (tmp_path / "dna.yaml").read_text().replace(shipped().version, "0123456789ab")
    (tmp_path / "dna.yaml").write_text(changed)
    with pytest.raises(DefinitionError) as raised:
        load_directory(tmp_path)
    assert "0123456789ab" in str(raised.value)
    assert shipped().version in str(raised.value)
    assert str(raised.value).startswith("dna.yaml:")
    assert load_directory(tmp_path, shipped()).hash == shipped_definitions().hash


def test_the_shipped_definitions_are_made_for_the_shipped_list() -> None:
    assert {one.codes for one in shipped_definitions().all} == {shipped().version}


def test_the_catalogue_knows_what_is_for_demonstration_only() -> None:
    definitions = shipped_definitions()
    for name, info in catalogue().items():
        assert info.demonstration_only == bool(definitions.demonstration_only(name)), name
    assert any(info.demonstration_only for info in catalogue().values())
    assert not any(x.demonstration_only for x in without_stand_ins(catalogue()).values())


def test_showing() -> None:
    answer = CliRunner().invoke(app, ["codes", "show"])
    assert answer.exit_code == 0
    assert "PAD_COD" in answer.output
    assert shipped().version in answer.output
    answer = CliRunner().invoke(app, ["indicators", "--json"])
    found = {one["id"]: one for one in json.loads(answer.output)}
    assert len(found) == 12
    assert found["dna"]["demonstration_only"] == []
    assert "NOCX_COD" in found["cervical"]["demonstration_only"]
    assert CliRunner().invoke(app, ["indicators"]).exit_code == 0
