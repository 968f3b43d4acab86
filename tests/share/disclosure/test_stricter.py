"""What an agreement that is stricter than the defaults shows of a released cell."""

import pytest

from peerview_common.catalogue import catalogue
from peerview_share.agreements.index import Conditions
from peerview_share.disclosure.cell import SEAL, Cell, CellState, Released
from peerview_share.disclosure.stricter import stricter

INFO = catalogue()["bp-htn-u80"]
RATE = catalogue()["broad-abx"]
DEFAULTS = {"min_denominator": 20, "min_count": 8, "extremes_from": 50, "rounding_base": 5}


def cell(numerator, denominator):
    figure = Released(numerator, denominator, 50.0, SEAL)
    return Cell("bp-htn-u80", CellState.VALUE, figure, "2026.1", 1, 1, 1)


def shown(numerator, denominator, info=INFO, **given):
    found = stricter(cell(numerator, denominator), info, **DEFAULTS | given)
    if found.figure is None:
        assert found.state is CellState.SUPPRESSED
        return None
    return found.figure.numerator, found.figure.denominator


def test_the_defaults_change_nothing():
    for numerator, denominator in ((0, 50), (10, 20), (50, 50), (15, 25)):
        before = cell(numerator, denominator)
        assert stricter(before, INFO, **DEFAULTS) is before


@pytest.mark.parametrize(
    ("numerator", "denominator", "given", "expected"),
    [
        # 100 may stand for 98
        (50, 100, {"min_denominator": 99}, None),
        (50, 100, {"min_denominator": 98}, (50, 100)),
        (15, 100, {"min_count": 14}, None),
        (15, 100, {"min_count": 13}, (15, 100)),
        # a complement of 15 may stand for 11: both of its parts are rounded
        (85, 100, {"min_count": 12}, None),
        (85, 100, {"min_count": 11}, (85, 100)),
        (0, 100, {"min_count": 30}, (0, 100)),
        (0, 100, {"extremes_from": 99}, None),
        (100, 100, {"extremes_from": 99}, None),
        (0, 100, {"extremes_from": 98}, (0, 100)),
        (45, 105, {"rounding_base": 10}, (50, 110)),
    ],
)
def test_a_stricter_figure(numerator, denominator, given, expected):
    assert shown(numerator, denominator, **given) == expected


def test_a_rate_has_no_complement():
    assert shown(100, 105, RATE, min_count=20) == (100, 105)
    assert shown(100, 100, RATE, extremes_from=1000) == (100, 100)


def test_definition_versions_that_an_agreement_lists():
    one = Conditions(version_ranges={"dna": "2025.2-2026.1", "upc": "2025.1"})
    assert [one.lists("dna", v) for v in ("2025.1", "2025.2", "2025.10", "2026.1", "2026.2")] == [
        False, True, True, True, False
    ]  # fmt: skip
    assert one.lists("upc", "2025.1")
    assert not one.lists("upc", "2025.2")
    assert one.lists("bp-htn-u80", "2024.1")
