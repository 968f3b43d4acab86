"""Rule 10, and the release of one person's figure: what is looked at before a release."""

import pytest

from peerview_common.catalogue import catalogue
from peerview_share.disclosure.cell import SEAL, Released
from peerview_share.disclosure.quality import jumps, personal, silent

BP = catalogue()["bp-htn-u80"]
UPC = catalogue()["upc"]
DAY = 86_400_000


def figure(value, denominator=100):
    return Released(50, denominator, value, SEAL)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(50.0, 70.0, False), (50.0, 70.1, True), (50.0, 29.9, True), (50.0, 30.0, False)],
)
def test_over_twenty_points_is_a_jump(before, after, expected):
    assert jumps(figure(after), [figure(before)], BP) is expected


@pytest.mark.parametrize(
    ("after", "expected"), [(120, False), (125, True), (80, False), (75, True)]
)
def test_over_a_fifth_of_the_denominator_is_a_jump(after, expected):
    assert jumps(figure(50.0, after), [figure(50.0, 100)], BP) is expected


def test_a_mean_jumps_by_hundredths():
    def mean(value):
        return Released(None, 100, value, SEAL)

    assert not jumps(mean(0.80), [mean(0.60)], UPC)
    assert jumps(mean(0.81), [mean(0.60)], UPC)


def test_nothing_jumps_from_nothing_or_to_nothing():
    assert not jumps(figure(90.0), [], BP)
    assert not jumps(None, [figure(10.0)], BP)


def test_what_was_confirmed_is_no_jump_again():
    assert jumps(figure(90.0), [figure(50.0)], BP)
    assert not jumps(figure(90.0), [figure(50.0), figure(85.0)], BP)


def test_a_feed_may_be_silent_for_seven_days():
    assert not silent(0, 7 * DAY)
    assert silent(0, 7 * DAY + 1)


def test_usual_provider_needs_three_gps():
    assert personal("upc", 2)
    assert not personal("upc", 3)
    assert not personal("dna", 1)
