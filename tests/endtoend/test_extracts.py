"""A supplier's daily files, from the command to the figure: as a practice and its people do it."""

import json
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from peerview_common import codes
from peerview_common.ids import ods_code
from peerview_ingest.extracts import catalogue
from peerview_ingest.fhir.collect import collect
from peerview_tools.cli import main
from peerview_tools.demo import actions
from peerview_tools.evaluate import counts
from peerview_tools.simulator import Practice, history
from peerview_tools.simulator.extracts import write
from tests.endtoend.stack import DAY, World, practice
from tests.endtoend.test_commands import peerview

pytestmark = pytest.mark.broker


def send(
    world: World, who: Practice, folder: Path, resources: list[Any], day: Any, *more: str
) -> tuple[int, dict[str, Any], str]:
    """Exit code, the line of JSON and standard error of `peerview send-extract`."""
    write(who.system, folder, who.ods, day, resources)
    done = peerview(
        "send-extract", folder, "--date", day, "--mapping", who.system, "--full", *more,
        PEERVIEW_INGEST=world.stack.ingest.url, PEERVIEW_TOKEN=world.tokens.system(who),
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[0]), done.stderr


def counted(world: World, who: Practice, report: dict[str, Any]) -> dict[str, Any]:
    """The practice's live figures, once they include the drop."""
    positions = {place["partition"]: place["offset"] for place in report["positions"]}
    with world.staff(who) as staff:
        live = actions.await_counted(staff, who.ods, positions, check=world.stack.check)
    return actions.counts_of(live)


@pytest.mark.parametrize(("supplier", "ods"), [("fieldgate", "A99085"), ("linden", "A99086")])
def test_a_suppliers_files_end_in_the_figures_that_fhir_ends_in(
    world: World, tmp_path: Path, supplier: str, ods: str
) -> None:
    who = replace(practice(ods, size=150, seed=80), system=supplier)
    resources = list(history(who, DAY))
    code, report, errors = send(world, who, tmp_path / "first", resources, DAY)
    assert (code, report["state"]) == (0, "complete"), errors
    assert counted(world, who, report) == world.evaluated(who, tmp_path)


def test_a_third_of_a_practice_is_not_there_the_next_day_until_a_person_says_so(
    world: World, tmp_path: Path
) -> None:
    ods = "A99084"
    who = replace(practice(ods, size=90, seed=84), system="fieldgate")
    resources = list(history(who, DAY))
    code, _, errors = send(world, who, tmp_path / "first", resources, DAY)
    assert code == 0, errors
    everybody = {each["id"] for each in resources if each["resourceType"] == "Patient"}
    gone = set(sorted(everybody)[: len(everybody) // 3])
    # of those who object nothing is kept, so nothing of theirs can vanish
    vanished = len(gone) - _objecting(resources, gone)
    known = len(everybody) - _objecting(resources, everybody)
    left = [each for each in resources if _patient(each) not in gone]
    tomorrow = DAY + timedelta(days=1)
    code, report, errors = send(world, who, tmp_path / "second", left, tomorrow)
    assert (code, report["held"]) == (1, True)
    told = f"patients: {vanished} of {known} records are not in this extract any more"
    assert told in errors
    person = world.issuer.token(subject="dr", practices=[ods], scope="ingest:confirm")
    variables = {"PEERVIEW_INGEST": world.stack.ingest.url, "PEERVIEW_TOKEN": person}
    listed = json.loads(peerview("extracts", "list", "--json", **variables).stdout)["extracts"]
    assert [each["state"] for each in listed] == ["held", "complete"]
    done = peerview("extracts", "confirm", tomorrow, **variables)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["deleted"]["patients"] == vanished
    assert "complete" in peerview("extracts", "list", **variables).stdout

    expected = counts(
        collect(left, practice=ods_code(ods), codes=codes.shipped()),
        practice=ods_code(ods),
        day=DAY,
    )["indicators"]
    code, report, _ = send(world, who, tmp_path / "second", left, tomorrow)
    assert (code, report["state"]) == (0, "complete")
    assert counted(world, who, report) == dict(sorted(expected.items()))


def _patient(resource: dict[str, Any]) -> str:
    if resource["resourceType"] == "Patient":
        return str(resource["id"])
    if resource["resourceType"] == "Appointment":
        reference = resource["participant"][0]["actor"]
    else:
        reference = resource.get("subject") or resource["patient"]
    return str(reference["reference"]).removeprefix("Patient/")


def _objecting(resources: list[dict[str, Any]], of: set[str]) -> int:
    return sum("TYPE1DISSENT" in json.dumps(each) and _patient(each) in of for each in resources)


def test_the_commands_say_what_is_wrong(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    who = replace(practice("A99083", size=5), system="fieldgate")
    write("fieldgate", tmp_path, who.ods, DAY, history(who, DAY))
    monkeypatch.setenv("PEERVIEW_INGEST", world.stack.ingest.url)
    monkeypatch.setenv("PEERVIEW_TOKEN", world.tokens.system(who))

    def tried(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["peerview", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err

    base = ("send-extract", tmp_path, "--date", DAY, "--mapping")
    assert tried(*base, "nobody", "--full") == (
        2,
        "peerview send-extract: no mapping is called nobody: give a file, or one of "
        "fieldgate, linden\n",
    )
    code, told = tried(*base, "linden", "--full")
    assert code == 2
    assert "no file in" in told
    (tmp_path / "Immunisation_20260401.csv").unlink()
    code, told = tried(*base, "fieldgate", "--full")
    assert (code, "immunisations (Immunisation_*.csv)" in told) == (2, True)
    other = tmp_path / "other.yaml"
    shipped = (Path(catalogue.__file__).parent / "mappings" / "fieldgate.yaml").read_text()
    other.write_text(shipped.replace("name: fieldgate", "name: other"))
    code, told = tried(*base, other, "--delta")
    assert (code, "this source system's mapping is fieldgate" in told) == (1, True)
    other.write_text(shipped.replace("delimiter: comma", "delimiter: commas"))
    code, told = tried(*base, other, "--delta")
    assert (code, ": file.delimiter: must be one sign" in told) == (2, True)
    code, told = tried("extracts", "check", other)
    assert (code, ": file.delimiter: must be one sign" in told) == (1, True)
    code, told = tried("extracts", "reject", DAY)
    assert (code, "ingest:confirm" in told) == (1, True)
    monkeypatch.setenv("PEERVIEW_INGEST", "http://127.0.0.1:9")
    code, told = tried("extracts", "list")
    assert (code, "nothing answers" in told) == (1, True)
