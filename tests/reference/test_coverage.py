"""The made-up patients reach what the page speaks of, and the reference needs no product."""

import ast
import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from . import evaluator, patients, reading
from .evaluator import INDICATORS, Practice
from .patients import ANCHORS, PRACTICE, STATUSES, documents, make_patients

DAYS = [anchor + timedelta(days=shift) for anchor in ANCHORS for shift in (0, 1)]
DAYS.append(date(2025, 2, 28))  # of a common year: who was born on 29 February waits for March
FOLDER = Path(__file__).parent


@pytest.fixture(scope="module")
def made():
    return make_patients(600, seed=1)


def answers(sent):
    practice = Practice(documents(sent), PRACTICE)
    return {day: practice.at(day)["patients"] for day in DAYS}


@pytest.fixture(scope="module")
def right(made):
    return answers(made)


def test_every_indicator_reaches_every_status(made, right):
    reached = {indicator: set() for indicator in INDICATORS}
    for answer in right.values():
        for patient in made:
            for indicator in INDICATORS:
                status = answer.get(patient.id, {}).get(indicator, ["out"])[0]
                reached[indicator].add(status)
    assert reached == STATUSES


def test_every_named_variant_is_drawn(made):
    """The names are read out of the generator's source: those of `draw` and of `say`."""
    named = set()
    for node in ast.walk(ast.parse(Path(patients.__file__).read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr == "draw":
            named |= {keyword.arg for keyword in node.keywords if keyword.arg}
        if node.func.attr == "say" and isinstance(node.args[0], ast.Constant):
            named.add(node.args[0].value)
    drawn = set().union(*(patient.said for patient in made))
    assert len(named) > 150
    assert named - drawn == set()


def test_the_same_seed_makes_the_same_patients(made):
    assert json.dumps(documents(make_patients(600, seed=1))) == json.dumps(documents(made))


def test_nhs_numbers_are_of_the_range_that_is_never_issued(made):
    for document in documents(made):
        for identifier in document.get("identifier", []):
            if document["resourceType"] == "Patient":
                number = identifier["value"]
                weighed = sum(int(d) * w for d, w in zip(number[:9], range(10, 1, -1), strict=True))
                assert number.startswith("999")
                assert int(number[9]) == (11 - weighed % 11) % 11


def test_the_order_of_arrival_changes_nothing(made):
    practice = Practice(documents(made), PRACTICE)
    reversed_practice = Practice(documents(made)[::-1], PRACTICE)
    assert practice.at(ANCHORS[2]) == reversed_practice.at(ANCHORS[2])


@pytest.mark.parametrize("module", [evaluator, reading, patients])
def test_nothing_of_the_product_is_imported(module):
    for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        assert not any(name.startswith("peerview") for name in names)


# What the patients must be able to tell apart: each slip of a rule has to change some answer.


def days_of(facts, cluster):
    return [f["day"] for f in facts if cluster in f["clusters"] and f["day"]]


def closed_window(patient, months, day):
    return evaluator.plus_months(patient.as_of, -months) <= day <= patient.as_of


def birthday_on_28_february(birth, as_of):
    day = min(birth.day, 28) if birth.month == 2 and as_of.year % 4 else birth.day
    return as_of.year - birth.year - ((as_of.month, as_of.day) < (birth.month, day))


def same_day_withdraws(facts):
    dissents, withdrawals = days_of(facts, "TYPE1DISSENT"), days_of(facts, "TYPE1WITHDRAWN")
    return bool(dissents) and not any(day >= max(dissents) for day in withdrawals)


def dated_dissents_only(facts):
    dissents, withdrawals = days_of(facts, "TYPE1DISSENT"), days_of(facts, "TYPE1WITHDRAWN")
    return bool(dissents) and not any(day > max(dissents) for day in withdrawals)


def latest_by(*names):
    return lambda facts: max(facts, key=lambda fact: [fact[name] for name in names])


class AnyIntent:
    def __contains__(self, intent):
        return True


SLIPS = {
    "a window that includes its first edge": (evaluator.Patient, "in_last", closed_window),
    "a birthday on 28 February": (evaluator, "age_on", birthday_on_28_february),
    "no blood pressure without a unit": (evaluator, "BP_UNITS", ("mm[Hg]", "mmHg", "mm Hg")),
    "SNOMED CT apart from dm+d": (reading, "DMD", "urn:none"),
    "prescriptions of any intent": (reading, "INTENTS", AnyIntent()),
    "dates in UTC": (reading, "LONDON", reading.UTC),
    "the latest without last updated": (
        evaluator, "latest", latest_by("instant", "version", "id", "type")),
    "the latest without the version": (
        evaluator, "latest", latest_by("instant", "stamp", "id", "type")),
    "the latest by id before the version": (
        evaluator, "latest", latest_by("instant", "stamp", "id", "version", "type")),
    "the latest by the day alone": (
        evaluator, "latest", latest_by("day", "stamp", "version", "id", "type")),
    "a withdrawal of the same day": (evaluator, "objects", same_day_withdraws),
    "an undated dissent passed over": (evaluator, "objects", dated_dissents_only),
    "odd versions as 0": (
        reading, "version_number", lambda text: int(text) if (text or "").isdigit() else 0),
    "a general practitioner's number without a system": (evaluator, "ODS_SYSTEM", None),
    "categories in any case": (
        evaluator, "CATEGORIES", evaluator.CATEGORIES | {"general consultation acute"}),
}  # fmt: skip


@pytest.mark.parametrize("slip", SLIPS)
def test_the_patients_tell_a_slip_from_the_rule(made, right, monkeypatch, slip):
    monkeypatch.setattr(*SLIPS[slip])
    reading.clusters_of_coding.cache_clear()
    try:
        changed = answers(made)
        assert any(changed[day] != right[day] for day in DAYS)
    finally:
        monkeypatch.undo()
        reading.clusters_of_coding.cache_clear()
