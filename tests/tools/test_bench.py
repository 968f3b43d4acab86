"""Every measure works and prints a line that can be read; what it finds is no test's business."""

import json
from pathlib import Path

import pytest

from peerview_tools.bench import load, table
from peerview_tools.bench.measure import Found, Measure
from peerview_tools.bench.registry import MEASURES, named
from peerview_tools.bench.run import run

FIELDS = ["measure", "value", "unit", "target", "ok", "against"]
IN_PROCESS = [
    "core",
    "extracts",
    "flat",
    "agreement-lookup",
    "agreement-compile",
    "gate",
    "snapshot-size",
    "epoch",
]
WITH_WORKERS = [
    "worker",
    "faust-table",
    "freshness",
    "memory",
    "bulk-memory",
    "takeover",
    "recovery",
    "tick",
]
WITH_INGEST = ["ingest", "bundle"]
INSTALLING = ["quix", "ingest-parse"]


def lines_of(printed: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in printed.splitlines()]


def check(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name], size="tiny") == 0
    (line,) = lines_of(capsys.readouterr().out)
    assert list(line) == FIELDS
    assert line["measure"] == name
    assert isinstance(line["value"], int | float)
    assert line["against"]


@pytest.mark.parametrize("name", IN_PROCESS)
def test_a_measure_without_a_broker(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    check(name, capsys)


@pytest.mark.broker
@pytest.mark.long
@pytest.mark.parametrize("name", WITH_WORKERS + WITH_INGEST)
def test_a_measure_of_processes(
    name: str, bootstrap: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PEERVIEW_KAFKA", bootstrap)
    check(name, capsys)


@pytest.mark.broker
@pytest.mark.long
@pytest.mark.parametrize("name", INSTALLING)
def test_a_measure_that_installs_what_it_needs(
    name: str, bootstrap: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PEERVIEW_KAFKA", bootstrap)
    check(name, capsys)


def test_the_tests_know_every_measure() -> None:
    assert {*IN_PROCESS, *WITH_WORKERS, *WITH_INGEST, *INSTALLING} == {
        measure.name for measure in MEASURES
    }


def test_an_unknown_name_is_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["cor"]) == 2
    assert "core" in capsys.readouterr().out


def test_a_target_is_a_floor_or_a_ceiling_and_a_second_condition_counts() -> None:
    def nothing(*_: object) -> Found:
        return Found(1.0, "")

    floor = Measure("a", "", "", 2, "at least", nothing)
    ceiling = Measure("a", "", "", 2, "at most", nothing)
    assert [floor.line(Found(value, ""))["ok"] for value in (1.9, 2.0)] == [False, True]
    assert [ceiling.line(Found(value, ""))["ok"] for value in (2.0, 2.1)] == [True, False]
    assert not ceiling.line(Found(1.0, "", holds=False))["ok"]


def test_a_run_of_one_measure_leaves_the_other_rows(tmp_path: Path) -> None:
    page, order = tmp_path / "page.md", ["core", "flat"]
    core, flat = named("core"), named("flat")
    assert core is not None
    assert flat is not None
    table.update(page, [(core, core.line(Found(41_000, "x | y")), 0.5)], order)
    table.update(page, [(flat, flat.line(Found(1.1, "z")), 0.5)], order)
    table.update(page, [(core, core.line(Found(39_000, "again")), 0.5)], order)
    rows = [line for line in page.read_text().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == order
    assert "39,000" in rows[0]
    assert "missed" in rows[0]
    assert "met" in rows[1]


def test_patients_in_bulk_are_patients_that_the_core_reads() -> None:
    core = load.core()
    found = dict(load.stored_patients(0, 6, using=3))
    assert len(set(found.values())) == 6
    for state in found.values():
        facts = core.facts(state)
        assert len(facts) == load.HELD
        assert facts == sorted(facts, key=lambda fact: (fact.type, fact.id))
        assert core.peek(state).contributions == core.refresh(state, load.DAY + 1).before
        fresh = core.evaluator.evaluate_all(facts, load.DAY)
        assert core.peek(state).contributions == tuple(each.contribution for each in fresh)
