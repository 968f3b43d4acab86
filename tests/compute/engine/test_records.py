"""Markers and notes join like states: any order, any repetition, the same end."""

from itertools import permutations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerview_common.changes import PracticeRekeying
from peerview_compute.engine.records import (
    Marker,
    Notes,
    UnreadableRecord,
    decode_marker,
    decode_notes,
    encode,
    patient_key,
    split_patient_key,
)

_days = st.none() | st.integers(-10, 10)
_counts = st.integers(-1, 10)
markers = st.builds(
    Marker, as_of=_days, done=_days, ticked=_counts, cut=st.integers(0, 9), offset=_counts
)
notes = st.builds(
    Notes,
    data_through=st.integers(0, 9),
    position=_counts,
    codes=st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
    first=st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
    kept=st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
    lost=st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
    rekeying=st.integers(0, 3),
    rekeyed=st.integers(0, 3),
)


@given(st.lists(markers, min_size=1, max_size=3) | st.lists(notes, min_size=1, max_size=3))
def test_every_order_and_repetition_joins_to_the_same_bytes(records: list) -> None:
    ends = set()
    for order in permutations([*records, records[0]]):
        joined = order[0]
        for record in order[1:]:
            joined = joined.join(record)
        ends.add(encode(joined))
    assert len(ends) == 1


@given(markers, notes)
def test_records_come_back_as_they_were(marker: Marker, note: Notes) -> None:
    assert decode_marker(encode(marker)) == marker
    assert decode_notes(encode(note)) == note


@given(notes, notes, notes)
def test_joining_is_associative(a: Notes, b: Notes, c: Notes) -> None:
    assert encode(a.join(b).join(c)) == encode(a.join(b.join(c)))


def test_notes_of_before_are_read() -> None:
    assert decode_notes(msgspec.msgpack.encode([1, 5, 3, {"a": 2}])) == Notes(1, 5, 3, {"a": 2})


def test_what_a_practice_misses() -> None:
    def whole(note: Notes) -> bool:
        return note.holds("b", ["x"])

    assert whole(Notes())
    assert whole(Notes(first={"b": 1}))
    assert whole(Notes(first={"b": 1, "a": 2}))
    assert not whole(Notes(first={"a": 1}))
    assert not whole(Notes(first={"a": 1, "b": 2}))
    assert not whole(Notes(first={"a": 1, "b": 1}))
    assert whole(Notes(first={"a": 1, "b": 2}, codes={"b": 3}))
    assert whole(Notes(first={"a": 1}, kept={"x": 1}))
    assert not whole(Notes(first={"a": 1}, kept={"x": 1}, lost={"x": 2}))
    assert not whole(Notes(first={"b": 1}, lost={"x": 2}))
    assert whole(Notes(first={"a": 1}, codes={"b": 3}, kept={"x": 1}, lost={"x": 2}))


def test_what_is_no_record_is_refused() -> None:
    for wrong in (b"", b"\x01", encode(Marker(format=9))):
        with pytest.raises(UnreadableRecord):
            decode_marker(wrong)
    with pytest.raises(UnreadableRecord):
        split_patient_key(b"A99001")
    assert split_patient_key(patient_key("A99001", b"\x07" * 16)) == ("A99001", b"\x07" * 16)


@given(notes, st.integers(1, 4))
def test_a_practice_is_held_from_the_beginning_of_a_re_keying_to_its_end(
    known: Notes, version: int
) -> None:
    begun = PracticeRekeying("b", "A99001", version, False, 0)
    ended = PracticeRekeying("e", "A99001", version, True, 1)
    assert known.after_rekeying(begun).held == (known.rekeyed < max(version, known.rekeying))
    over = known.after_rekeying(begun).after_rekeying(ended)
    assert not over.held or known.rekeying > version
    assert over.after_rekeying(begun) == over, "the same event again begins nothing"
