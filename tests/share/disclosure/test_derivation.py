"""Rule 6: totals, intervals and ranks are functions of released cells."""

import pytest

from peerview_common.catalogue import catalogue
from peerview_share.disclosure.cell import SEAL, Cell, CellState, Released
from peerview_share.disclosure.derivation import Total, interval, ranked, total

BP = catalogue()["bp-htn-u80"]
UPC = catalogue()["upc"]
ABX = catalogue()["broad-abx"]
NOTHING = Cell("bp-htn-u80", CellState.SUPPRESSED, None, "1", 1, 1, 1)


def cell(numerator, denominator, value):
    return Cell("x", CellState.VALUE, Released(numerator, denominator, value, SEAL), "1", 1, 1, 1)


def test_a_total_is_of_rounded_parts_and_says_what_it_leaves_out():
    found = total([cell(10, 65, 15.4), cell(15, 60, 25.0), NOTHING], BP)
    assert found == Total(25, 125, 20.0, 2, 1)


def test_a_total_of_nothing_has_no_value():
    assert total([NOTHING, NOTHING], BP) == Total(None, 0, None, 0, 2)


def test_a_mean_is_weighted_by_the_rounded_denominators():
    found = total([cell(None, 100, 0.6), cell(None, 300, 0.8), NOTHING], UPC)
    assert found == Total(None, 400, 0.75, 2, 1)


def test_intervals_against_published_examples():
    # Wilson, 15 of 60: Newcombe's formula by hand; Byar, 50 of 1,000
    found = interval(Released(15, 60, 25.0, SEAL), BP)
    assert (found.lower, found.upper) == (15.8, 37.2)
    rate = interval(Released(50, 1000, 50.0, SEAL), ABX)
    assert (rate.lower, rate.upper) == (37.1, 65.9)


def test_the_interval_of_nothing_and_of_all():
    assert interval(Released(0, 50, 0.0, SEAL), BP).lower == 0.0
    assert interval(Released(50, 50, 100.0, SEAL), BP).upper == 100.0
    assert interval(Released(None, 50, 0.5, SEAL), UPC) is None


@pytest.mark.parametrize(("info", "best"), [(BP, "C"), (ABX, "A")])
def test_the_better_ones_rank_first(info, best):
    cells = {"A": cell(5, 50, 10.0), "B": cell(10, 50, 20.0), "C": cell(25, 50, 50.0), "D": NOTHING}
    found = ranked(cells, info)
    assert found[0] == (1, best)
    assert found[-1] == (None, "D")


def test_equal_figures_share_a_rank():
    cells = {name: cell(5, 50, 10.0) for name in "AB"} | {"C": cell(25, 50, 5.0)}
    assert ranked(cells, BP) == [(1, "A"), (1, "B"), (3, "C")]
