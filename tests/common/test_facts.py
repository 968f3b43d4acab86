"""A version's place in the order of versions does not depend on how it arrived."""

import itertools
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerview_common.facts import (
    Appointment,
    Coded,
    Component,
    Contact,
    Fact,
    Person,
    Registration,
    ResourceType,
    id_text,
    newer,
    pack_id,
)


def reading(stamp: int, version: int = -1, *, deleted: bool = False, value: float = 48) -> Fact:
    body = None if deleted else Coded(20_000, 0, (999791000000106,), value, 2, None, ())
    return Fact(ResourceType.OBSERVATION, b"obs-1", stamp, version, "", deleted, body)


def test_the_later_stamp_wins_whatever_the_version() -> None:
    assert newer(reading(1, 9), reading(2, 1)) == reading(2, 1)


def test_at_one_stamp_the_greater_version_wins() -> None:
    assert newer(reading(5, 10), reading(5, 9)) == reading(5, 10)


def test_at_one_stamp_and_version_a_deletion_wins() -> None:
    assert newer(reading(5, 1), reading(5, 1, deleted=True)).deleted


def test_equal_values_in_different_bytes_have_one_winner_too() -> None:
    whole, real = reading(5, 1, value=140), reading(5, 1, value=140.0)
    assert whole == real
    found = {msgspec.msgpack.encode(newer(a, b)) for a, b in ((whole, real), (real, whole))}
    assert len(found) == 1


versions = st.builds(
    reading,
    st.integers(0, 2),
    st.integers(-1, 1),
    deleted=st.booleans(),
    value=st.integers(40, 42),
)


@given(st.lists(versions, min_size=1, max_size=4))
def test_any_order_of_arrival_ends_in_the_same_version(found: list[Fact]) -> None:
    outcomes = set()
    for order in itertools.permutations(found):
        best = order[0]
        for fact in order[1:]:
            best = newer(best, fact)
        outcomes.add(best)
    assert len(outcomes) == 1


@given(
    st.one_of(st.text(max_size=40), st.uuids().map(str), st.uuids().map(lambda u: str(u).upper()))
)
def test_an_id_packs_without_loss(text: str) -> None:
    assert id_text(pack_id(text)) == text


def test_a_uuid_takes_seventeen_bytes() -> None:
    assert len(pack_id(str(uuid.uuid4()))) == 17


@pytest.mark.parametrize(
    "body",
    [
        Person(3000, 2, None, 1, None, False),
        Registration(True, -5, None),
        Coded(1, 2, (5, "bnf:0212"), 1.5, 0, 7, (Component((8,), 120, 1),)),
        Appointment(9, None, 4, 7),
        Contact(3, b"12345678"),
        None,
    ],
)
def test_every_body_survives_the_log(body: object) -> None:
    fact = Fact(3, pack_id("a"), 1, -1, "", body is None, body)  # type: ignore[arg-type]
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(fact), type=Fact) == fact
