"""Rule 7: what may be shown of practices that are not named."""

import statistics
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerview_common.catalogue import catalogue
from peerview_share.disclosure.cell import SEAL, Cell, CellState, Released
from peerview_share.disclosure.identity import (
    Bands,
    Distribution,
    TooFewError,
    bands,
    contributors,
    distribution,
)

BP = catalogue()["bp-htn-u80"]
UPC = catalogue()["upc"]
ABX = catalogue()["broad-abx"]


def cell(value, *, info=BP, epoch=4):
    figure = Released(None if info is UPC else 100, 200, value, SEAL)
    return Cell(info.id, CellState.VALUE, figure, "1", 20_000, epoch, 20_010)


def cells(values, **given):
    return {f"A{n:05}": cell(value, **given) for n, value in enumerate(values)}


@pytest.mark.parametrize("count", [0, 1, 9])
def test_nothing_below_ten_contributors(count):
    for derive in (distribution, bands):
        with pytest.raises(TooFewError):
            derive(cells([60.0] * count), BP, epoch=4)


@pytest.mark.parametrize(
    ("count", "quartiles", "deciles"),
    [
        (10, False, False),
        (19, False, False),
        (20, True, False),
        (59, True, False),
        (60, True, True),
    ],
)
def test_median_from_10_quartiles_from_20_deciles_from_60(count, quartiles, deciles):
    found = distribution(cells(float(n) for n in range(count)), BP, epoch=4)
    assert (found.quartiles is not None) == quartiles
    assert (found.deciles is not None) == deciles
    assert found.deciles is None or len(found.deciles) == 9
    assert found.contributors == count


def test_quantiles_are_interpolated_and_whole():
    found = distribution(cells([*range(50, 69), 90]), BP, epoch=4)
    # of 20 values: the median between the 10th (59) and 11th (60); 4.75 places up from 50
    assert (found.median, found.quartiles) == (60.0, (55.0, 64.0))


def test_halves_go_up_whatever_their_binary_fraction():
    assert distribution(cells([60.1] * 5 + [60.9] * 5), BP, epoch=4).median == 61.0
    assert distribution(cells([60.0] * 5 + [60.8] * 5), BP, epoch=4).median == 60.0


def test_a_mean_is_given_in_hundredths():
    assert distribution(cells([0.64] * 5 + [0.65] * 5, info=UPC), UPC, epoch=4).median == 0.65


@given(st.lists(st.integers(0, 1000), min_size=60, max_size=80))
def test_quantiles_are_those_of_the_standard_library(tenths):
    values = [n / 10 for n in tenths]
    found = distribution(cells(values), BP, epoch=4)
    exact = statistics.quantiles(values, n=10, method="inclusive")
    for shown, expected in zip(found.deciles, exact, strict=True):
        assert abs(shown - expected) <= 0.5 + 1e-9
        assert shown == int(shown)
    assert found.deciles[4] == found.median
    assert sorted(found.deciles) == list(found.deciles)


def test_bands_count_practices_between_fixed_edges():
    assert BP.bands == (60, 70, 80)
    found = bands(cells([59.9, 60.0, 69.9, 70.0, 79.9, 80.0, 100.0, 0.0, 65.0, 65.0]), BP, epoch=4)
    assert found == Bands(10, 0, (60, 70, 80), (2, 4, 2, 2))


def test_one_line_says_how_many_are_older():
    found = cells([60.0] * 12) | {f"B{n:05}": cell(70.0, epoch=3) for n in range(3)}
    assert bands(found, BP, epoch=4).older == 3
    assert distribution(found, BP, epoch=4).older == 3


def test_a_contributor_without_a_figure_is_refused():
    found = cells([60.0] * 12) | {"B00001": Cell("bp-htn-u80", CellState.NOT_SUBMITTED)}
    with pytest.raises(TooFewError):
        bands(found, BP, epoch=4)


def test_the_viewer_and_whoever_is_seen_by_name_do_not_contribute():
    assert contributors("ABCDE", viewer="C", seen_by_name="AE") == {"B", "D"}


def test_a_derived_figure_has_no_place_for_a_single_practices_anything():
    names = {field.name for kind in (Distribution, Bands) for field in fields(kind)}
    assert names == {"contributors", "older", "median", "quartiles", "deciles", "edges", "peers"}


def test_a_rate_is_given_per_thousand():
    assert distribution(cells([31.4] * 10, info=ABX), ABX, epoch=4).median == 31.0
