"""Figures as people read them."""

import pytest

from peerview_common.catalogue import catalogue
from peerview_share.web import words

BP, ABX, UPC = (catalogue()[name] for name in ("bp-htn-u80", "broad-abx", "upc"))


@pytest.mark.parametrize(
    ("value", "info", "expected"),
    [
        (68.2, BP, "68%"),
        (4.2, BP, "4.2%"),
        (0.0, BP, "0%"),
        (100.0, BP, "100%"),
        (7.46, ABX, "7.5"),
        (0.6, UPC, "0.60"),
    ],
)
def test_shown(value, info, expected):
    assert words.shown(value, info) == expected


def test_counts():
    assert words.counts(640, 1025, BP) == "640 of 1,025 patients"
    assert words.counts(33, 4348, ABX) == "33 items, 4,348 patients"
    assert words.counts(None, 65, UPC) == "65 patients"
    assert words.counted(1, "patients") == "1 patient"


def test_live_figures_are_exact():
    assert words.live_shown(682, 1000, BP) == "68.2%"
    assert words.live_shown(655_000 * 10, 10, UPC) in ("0.65", "0.66")
    assert words.live_shown(0, 0, BP) is None


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (5, "just now"),
        (61, "1 minute ago"),
        (7200, "2 hours ago"),
        (200_000, "2 days ago"),
        (-9, "just now"),
    ],
)
def test_ago(seconds, expected):
    assert words.ago(1_000_000_000_000, 1_000_000_000_000 + seconds * 1000) == expected
