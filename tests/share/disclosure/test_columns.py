"""Columns say what mappings say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerview_share.disclosure.columns import Columns, aligned, columns, mapping, united

contributions = st.dictionaries(
    st.integers(0, 2**64 - 1), st.tuples(st.integers(1, 5), st.integers(0, 5)), max_size=30
)


@given(contributions)
def test_there_and_back(found):
    assert mapping(columns(found)) == found


@given(contributions, contributions)
def test_alignment_loses_nobody(one, two):
    left, right = aligned(one, two)
    assert left.roster is right.roster
    assert mapping(left) == one
    assert mapping(right) == two


@given(contributions, contributions)
def test_a_union_adds_what_patients_contribute(one, two):
    nothing = (0, 0)
    expected = {
        patient: tuple(
            a + b for a, b in zip(one.get(patient, nothing), two.get(patient, nothing), strict=True)
        )
        for patient in one.keys() | two.keys()
    }
    assert mapping(united([one, two])) == expected


def test_columns_of_unlike_lengths_are_refused():
    with pytest.raises(ValueError, match="one place"):
        Columns(np.zeros(2, np.uint64), np.zeros(2, np.int64), np.zeros(3, np.int64))
