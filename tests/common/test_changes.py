"""Every event of ``practice.changes`` survives the log, and nothing else is taken for one."""

import msgspec
import pytest

from peerview_common.changes import (
    BackfillCompleted,
    ChangeSet,
    ClockTicked,
    PatientChange,
    PatientRekeyed,
    ReleaseCut,
    UnknownEvent,
    decode,
    encode,
    encoded_size,
    event_type,
)
from peerview_common.cloudevents import header, headers
from peerview_common.facts import Fact, Person

change = PatientChange(
    b"k" * 16, 2, False, [Fact(7, b"p", 5, 1, "", False, Person(1, 2, None, 1, None, False))]
)
events = [
    ChangeSet(1, "A99001", "demo", "s-1", 10, 11, "codes", [change]),
    ClockTicked("t", 20_000, 5),
    ReleaseCut("c", 3, 20_000, 5),
    PatientRekeyed("r", "A99001", b"o" * 16, b"n" * 16, "old", 5),
    BackfillCompleted("b", "A99001", "codes", 5),
]


@pytest.mark.parametrize("event", events, ids=lambda e: type(e).__name__)
def test_an_event_comes_back_as_it_was(event: ChangeSet) -> None:
    assert decode(event_type(event), encode(event)) == event


def test_an_unknown_type_is_refused_by_name() -> None:
    with pytest.raises(UnknownEvent, match="'weather'"):
        decode("weather", b"")


def test_a_newer_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 2"):
        decode(event_type(events[0]), encode(msgspec.structs.replace(events[0], format=2)))


def test_parts_add_up_to_the_record() -> None:
    one = encode(msgspec.structs.replace(events[0], patients=[change]))
    two = encode(msgspec.structs.replace(events[0], patients=[change, change]))
    assert len(two) - len(one) == encoded_size(change)


def test_headers_are_cloudevents_in_binary_mode() -> None:
    found = headers("t", "peerview/test", subject="A99001", traceparent="00-a-b-01")
    assert header(found, "ce_specversion") == "1.0"
    assert header(found, "ce_type") == "t"
    assert header(found, "ce_subject") == "A99001"
    assert header(found, "traceparent") == "00-a-b-01"
    assert header(found, "absent") is None
