"""`peerview evaluate`: what it prints, where it complains, and when it gives up."""

import gzip
import json
import os
import subprocess
import sys
import threading
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import zstandard

from peerview_common.codes import Row, shipped
from peerview_common.ids import ods_code
from peerview_tools.evaluate import evaluate
from peerview_tools.simulator import PRACTICES, codes, history, resources

SNOMED = "http://snomed.info/sct"
DAY = date(2026, 3, 31)
STAMP = datetime(2026, 3, 1, 9, tzinfo=UTC)
KEYS = ["version", "denominator", "numerator", "met", "miss", "exception", "excluded"]


def someone(systolic: int = 130, identity: str = "p1") -> list[dict]:
    """A registered patient of 66 with hypertension and one reading."""
    return [
        resources.patient(
            identity,
            STAMP,
            nhs_number="9990000018",
            name=("Ava", "Madeup"),
            address=("1 Invented Row", "Nonsuch", "ZZ99 1ZZ"),
            female=True,
            born=date(1960, 1, 1),
            ods="A99001",
        ),
        resources.episode(
            f"{identity}-e", STAMP, patient=identity, ods="A99001", start=date(2010, 1, 1)
        ),
        resources.condition(
            f"{identity}-c",
            STAMP,
            patient=identity,
            code=codes.HYPERTENSION,
            onset=date(2015, 1, 1),
        ),
        resources.pressure(
            f"{identity}-o",
            STAMP,
            patient=identity,
            at=STAMP,
            systolic=(codes.SYSTOLIC, systolic),
            diastolic=(codes.DIASTOLIC, 80),
        ),
    ]


def lines(records: list[dict]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    start = "from peerview_tools.cli import main; main()"
    called = [sys.executable, "-c", start, "evaluate", *map(str, arguments)]
    return subprocess.run(called, capture_output=True, text=True, check=False, timeout=60)


def run(*files: Path, **options) -> dict:
    practice = ods_code("A99001")
    return evaluate(files, practice=practice, day=DAY, **options).result


def test_the_command_prints_counts_and_patients_in_the_agreed_form(tmp_path: Path) -> None:
    file = tmp_path / "one.ndjson"
    file.write_bytes(lines(someone()))
    done = command("--practice", "A99001", "--as-of", "2026-03-31", "--patients", file)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found) == ["practice", "as_of", "indicators", "patients"]
    assert (found["practice"], found["as_of"]) == ("A99001", "2026-03-31")
    assert len(found["indicators"]) == 12
    for counts in found["indicators"].values():
        assert list(counts) == KEYS
    assert found["indicators"]["bp-htn-u80"] == {
        "version": "2025.1",
        "denominator": 1,
        "numerator": 1,
        "met": 1,
        "miss": 0,
        "exception": 0,
        "excluded": 0,
    }
    assert found["patients"]["p1"]["bp-htn-u80"] == ["met", 1, 1]
    assert "dm-hba1c-58" not in found["patients"]["p1"]


def test_without_patients_nothing_is_said_of_them(tmp_path: Path) -> None:
    file = tmp_path / "one.ndjson"
    file.write_bytes(lines(someone()))
    assert "patients" not in run(file)


def test_the_version_of_the_day_is_used(tmp_path: Path) -> None:
    file = tmp_path / "one.ndjson"
    file.write_bytes(lines(someone()))
    later = evaluate([file], practice=ods_code("A99001"), day=date(2026, 4, 1)).result
    assert later["indicators"]["bp-htn-u80"]["version"] == "2026.1"


def test_every_form_of_file_gives_the_same_counts(tmp_path: Path) -> None:
    records = someone(150)
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"fullUrl": f"urn:uuid:{r['id']}", "resource": r} for r in records],
    }
    plain = lines(records)
    forms = {
        "a.ndjson": plain,
        "b.ndjson.gz": gzip.compress(plain),
        "c.ndjson.zst": zstandard.compress(plain[:900]) + zstandard.compress(plain[900:]),
        "d.json": json.dumps(bundle, indent=2).encode(),
        "e.json": json.dumps(bundle).encode(),
        "f.json.gz": gzip.compress(b"\xef\xbb\xbf" + json.dumps(bundle, indent=1).encode()),
        "lines-by-another-name.json": plain,
        "packed-by-another-name.ndjson": gzip.compress(plain),
        "packed": zstandard.compress(json.dumps(bundle).encode()),
    }
    results = []
    for name, data in forms.items():
        (tmp_path / name).write_bytes(data)
        results.append(run(tmp_path / name, patients=True))
    assert results[0]["indicators"]["bp-htn-u80"]["miss"] == 1
    assert all(result == results[0] for result in results)
    singly = []
    for n, record in enumerate(records):
        path = tmp_path / f"single-{n}.json"
        path.write_text(json.dumps(record, indent=2))
        singly.append(path)
    assert run(*reversed(singly), patients=True) == results[0]


@pytest.mark.parametrize("packed", [False, True])
def test_a_pipe_gives_what_the_file_gives(tmp_path: Path, packed: bool) -> None:
    file, pipe = tmp_path / "one.ndjson", tmp_path / "pipe"
    file.write_bytes(lines(someone(150)))
    os.mkfifo(pipe)
    given = gzip.compress(file.read_bytes()) if packed else file.read_bytes()
    writer = threading.Thread(target=pipe.write_bytes, args=(given,), daemon=True)
    writer.start()
    arguments = ("--practice", "A99001", "--as-of", "2026-03-31", "--patients")
    found = json.loads(command(*arguments, pipe).stdout)
    writer.join(10)
    assert found["indicators"]["bp-htn-u80"]["miss"] == 1
    assert found == json.loads(command(*arguments, file).stdout)


def test_a_bad_line_is_named_and_stops_nothing(tmp_path: Path) -> None:
    records = someone()
    undated = dict(records[3], id="when", effectiveDateTime="2026-02-31")
    file = tmp_path / "mixed.ndjson"
    file.write_bytes(lines(records[:2]) + b"{not json\n\n" + lines([undated, *records[2:]]))
    done = command("--practice", "A99001", "--as-of", "2026-03-31", file)
    assert done.returncode == 0
    complaints = done.stderr.splitlines()
    assert complaints[0].startswith(f"{file}:3: not JSON")
    assert complaints[1].startswith(f"{file}:5: ")
    assert "effectiveDateTime" in complaints[1]
    assert "2 rejected" in complaints[2]
    assert json.loads(done.stdout)["indicators"]["bp-htn-u80"]["met"] == 1


def test_a_json_file_that_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_text('{\n "resourceType": "Bundle",\n "entry": [\n')
    done = command("--practice", "A99001", "--as-of", "2026-03-31", file)
    assert done.returncode == 0
    assert done.stderr.startswith(f"{file}:")
    assert "not JSON" in done.stderr


@pytest.mark.parametrize("name", ["gone.ndjson", "folder", "bad.ndjson.gz", "bad.ndjson.zst"])
def test_an_unreadable_file_ends_the_run_with_2(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "bad.ndjson.gz").write_bytes(gzip.compress(lines(someone()))[:-20])
    (tmp_path / "bad.ndjson.zst").write_bytes(b"this is not zstd")
    done = command("--practice", "A99001", "--as-of", "2026-03-31", tmp_path / name)
    assert done.returncode == 2
    assert done.stdout == ""
    told = f"{tmp_path / name}: no file" if name == "folder" else f"cannot read {tmp_path / name}"
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_practice_or_day_ends_the_run_with_2(tmp_path: Path) -> None:
    file = tmp_path / "one.ndjson"
    file.write_bytes(lines(someone()))
    wrong = command("--practice", "not an ODS", "--as-of", "2026-03-31", file)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "not an ODS code" in wrong.stderr
    wrong = command("--practice", "A99001", "--as-of", "31/03/2026", file)
    assert (wrong.returncode, wrong.stdout) == (2, "")


def test_register_all_registers_whoever_has_a_record(tmp_path: Path) -> None:
    person, _, *facts = someone()
    del person["generalPractitioner"]
    file = tmp_path / "one.ndjson"
    file.write_bytes(lines([person, *facts]))
    assert run(file)["indicators"]["bp-htn-u80"]["denominator"] == 0
    assert run(file, register_all=True)["indicators"]["bp-htn-u80"]["denominator"] == 1


def test_a_patient_who_objects_is_nowhere(tmp_path: Path) -> None:
    objection = resources.observation("x", STAMP, patient="p1", code=codes.OBJECTION, at=STAMP)
    file = tmp_path / "one.ndjson"
    file.write_bytes(lines([*someone(), objection]))
    found = run(file, patients=True)
    assert found["patients"] == {}
    assert all(counts["denominator"] == 0 for counts in found["indicators"].values())


def test_a_simulated_practice_has_figures_for_all_twelve(tmp_path: Path) -> None:
    file = tmp_path / "practice.ndjson"
    file.write_bytes(lines(list(history(PRACTICES[0], DAY))))
    found = run(file, patients=True)
    for name, counts in found["indicators"].items():
        assert counts["denominator"] >= 20, name
        statuses = [s[name][0] for s in found["patients"].values() if name in s]
        assert {w: statuses.count(w) for w in KEYS[3:]} == {w: counts[w] for w in KEYS[3:]}


def test_a_folder_counts_as_its_files(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    for number, record in enumerate(someone()):
        (tmp_path / "records" / f"{number}.ndjson").write_bytes(lines([record]))
    done = command("--practice", "A99001", "--as-of", "2026-03-31", tmp_path / "records")
    assert json.loads(done.stdout)["indicators"]["bp-htn-u80"]["met"] == 1


def test_the_code_list_that_the_services_use_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, listed = tmp_path / "one.ndjson", tmp_path / "list.csv"
    text = json.dumps(someone()).replace(codes.HYPERTENSION[1], "999000001")
    file.write_bytes(lines(json.loads(text)))
    rows = [*shipped().rows, Row("HYP_COD", SNOMED, "999000001", "for this test")]
    said = [",".join((row.cluster, row.system, row.code, "test")) for row in rows]
    listed.write_text("\n".join(["cluster,system,code,origin", *said]) + "\n")
    given = ("--practice", "A99001", "--as-of", "2026-03-31", file)
    counted = [json.loads(command(*given, *more).stdout)["indicators"]["bp-htn-u80"]["met"]
               for more in ((), ("--code-list", listed))]  # fmt: skip
    assert counted == [0, 1]
    monkeypatch.setenv("PEERVIEW_CODE_LIST", str(listed))
    assert json.loads(command(*given).stdout)["indicators"]["bp-htn-u80"]["met"] == 1
