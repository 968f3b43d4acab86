"""A supplier's daily files, from the command to the figure: as a practice and its people do it."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from peerview_common import codes
from peerview_common.ids import ods_code
from peerview_ingest.fhir.collect import collect
from peerview_tools.demo import actions
from peerview_tools.evaluate import counts
from peerview_tools.simulator import Practice, history
from peerview_tools.simulator.extracts import write
from tests.endtoend.stack import DAY, World, practice
from tests.endtoend.test_commands import peerview

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]


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


@pytest.mark.parametrize(("supplier", "ods"), [("fieldgate", "A99081"), ("linden", "A99082")])
def test_a_suppliers_files_end_in_the_figures_that_fhir_ends_in(
    world: World, tmp_path: Path, supplier: str, ods: str
) -> None:
    who = replace(practice(ods, size=150, seed=80), system=supplier)
    resources = list(history(who, DAY))
    code, report, errors = send(world, who, tmp_path / "first", resources, DAY)
    assert (code, report["state"]) == (0, "complete"), errors
    assert counted(world, who, report) == world.evaluated(who, tmp_path)

    # a third of the patients is not there the next day: held, then confirmed by a person
    gone = {each["id"] for each in resources if each["resourceType"] == "Patient"}
    gone = set(sorted(gone)[: len(gone) // 3])
    left = [each for each in resources if _patient(each) not in gone]
    tomorrow = DAY + timedelta(days=1)
    code, report, errors = send(world, who, tmp_path / "second", left, tomorrow)
    assert (code, report["held"]) == (1, True)
    assert "patients: 50 of 150 records are not in this extract any more" in errors
    person = world.issuer.token(subject="dr", practices=[ods], scope="ingest:confirm")
    variables = {"PEERVIEW_INGEST": world.stack.ingest.url, "PEERVIEW_TOKEN": person}
    listed = json.loads(peerview("extracts", "list", "--json", **variables).stdout)["extracts"]
    assert [each["state"] for each in listed] == ["held", "complete"]
    done = peerview("extracts", "confirm", tomorrow, **variables)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["deleted"]["patients"] == 50 - _objecting(resources, gone)
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


def test_the_commands_say_what_is_wrong(world: World, tmp_path: Path) -> None:
    who = replace(practice("A99083", size=5), system="fieldgate")
    write("fieldgate", tmp_path, who.ods, DAY, history(who, DAY))
    to = {"PEERVIEW_INGEST": world.stack.ingest.url, "PEERVIEW_TOKEN": world.tokens.system(who)}

    def tried(*arguments: object, **variables: str) -> tuple[int, str]:
        done = peerview(*arguments, **(to | variables))
        assert "Traceback" not in done.stderr
        return done.returncode, done.stderr

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
    shipped = Path(catalogue_folder() / "fieldgate.yaml").read_text()
    other.write_text(shipped.replace("name: fieldgate", "name: other"))
    code, told = tried(*base, other, "--delta")
    assert (code, "this source system's mapping is fieldgate" in told) == (1, True)
    other.write_text(shipped.replace("delimiter: comma", "delimiter: commas"))
    code, told = tried(*base, other, "--delta")
    assert (code, "other.yaml:11: file.delimiter: " in told) == (2, True)
    code, told = tried("extracts", "check", other)
    assert (code, "other.yaml:11: file.delimiter: " in told) == (1, True)
    code, told = tried("extracts", "reject", DAY)
    assert (code, "ingest:confirm" in told) == (1, True)
    code, told = tried("extracts", "list", PEERVIEW_INGEST="http://127.0.0.1:9")
    assert (code, "nothing answers" in told) == (1, True)


def catalogue_folder() -> Path:
    from peerview_ingest.extracts import catalogue

    return Path(catalogue.__file__).parent / "mappings"
