"""Rule 1: which releases a network shows, and from when."""

import pytest

from peerview_share.disclosure.epoch import DAY_MS, EVERY_RELEASE, Pace


def test_every_release_or_every_third():
    assert [n for n in range(1, 8) if EVERY_RELEASE.shows(n)] == [1, 2, 3, 4, 5, 6, 7]
    assert [n for n in range(1, 8) if Pace(3).shows(n)] == [3, 6]


def test_a_longer_rest_of_one_network():
    assert Pace(1, 2.5).latest_publication(10 * DAY_MS) == round(7.5 * DAY_MS)
    assert EVERY_RELEASE.latest_publication(5) == 5


def test_the_slowest_agreement_counts():
    assert Pace(3, 1).slower(Pace(1, 4)) == Pace(3, 4)


@pytest.mark.parametrize("wrong", [(0, 0.0), (1, -1.0)])
def test_none_is_ahead_of_its_release(wrong):
    with pytest.raises(ValueError, match="never ahead"):
        Pace(*wrong)
