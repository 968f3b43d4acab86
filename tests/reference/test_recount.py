"""Synthea's patients, from a committed file: the product against the recount."""

from datetime import date
from pathlib import Path

import pytest

from .evaluator import Practice
from .product import peerview_evaluate
from .reading import load
from .recount import INDICATORS, recount

SYNTHEA = Path(__file__).parents[1] / "fixtures" / "synthea-30.ndjson.gz"
DAYS = [date(2026, 4, 1), date(2026, 3, 31), date(2025, 10, 1), date(2024, 2, 29)]


@pytest.fixture(scope="module")
def practice():
    return Practice(load(SYNTHEA), "A99001", register_all=True)


def test_the_recount_finds_people_with_hypertension_and_with_diabetes():
    counts = recount([SYNTHEA], date(2026, 4, 1))
    assert set(counts) == set(INDICATORS)
    for indicator in INDICATORS:
        assert counts[indicator]["denominator"] > 0, indicator
        assert len(counts[indicator]["patients"]) >= counts[indicator]["denominator"]


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_the_product_agrees_on_synthea(practice, day):
    assert peerview_evaluate([SYNTHEA], "A99001", day, register_all=True) == practice.at(day)


def test_nobody_is_registered_unless_the_source_is_declared_so():
    answer = Practice(load(SYNTHEA), "A99001").at(DAYS[0])
    assert answer["patients"] == {}
