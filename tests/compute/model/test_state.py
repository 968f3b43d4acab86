"""The laws of joining states. Every one of them is what lets records come late, twice or in any
order."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerview_common.facts import Fact, ResourceType
from peerview_compute.model import state as states
from peerview_compute.model.state import Cache, Cell, PatientState, UnreadableState
from tests.compute.model.facts_of import coded, person, void
from tests.compute.model.histories import change, make_history, quick

CACHES = tuple(
    Cache(bytes([n]) * 8, as_of, 21_000, 30_000, (Cell(n, 4, 1, 1, 21_000),))
    for n, as_of in ((0, 20_000), (1, 20_000), (2, 20_001))
)


@st.composite
def some_states(draw: st.DrawFn, seed: int) -> PatientState:
    facts = [fact for _, fact in make_history(seed).versions]
    chosen = draw(st.lists(st.sampled_from(facts), max_size=12)) if facts else []
    if draw(st.integers(0, 3)) == 0:
        chosen = facts
    objected = draw(st.integers(0, 5)) == 0
    made = states.of_change(change(chosen, generation=draw(st.integers(0, 1)), objected=objected))
    origins = tuple(sorted(draw(st.sets(st.sampled_from((b"a" * 16, b"b" * 16)), max_size=2))))
    cache = draw(st.sampled_from((None, *CACHES)))
    return msgspec.structs.replace(made, origins=origins, cache=cache)


@st.composite
def three_states(draw: st.DrawFn) -> tuple[PatientState, PatientState, PatientState]:
    seed = draw(st.integers(0, 10_000))
    return draw(some_states(seed)), draw(some_states(seed)), draw(some_states(seed))


def join(a: bytes, b: bytes) -> bytes:
    return states.encode(states.join(states.decode(a), states.decode(b)))


@given(three_states())
@quick(150)
def test_joining_is_associative_commutative_and_idempotent(
    three: tuple[PatientState, PatientState, PatientState],
) -> None:
    a, b, c = (states.encode(one) for one in three)
    assert join(join(a, b), c) == join(a, join(b, c))
    assert join(a, b) == join(b, a)
    assert join(a, a) == a
    assert join(a, join(a, b)) == join(a, b)


@given(three_states())
@quick(100)
def test_a_cache_never_stands_with_a_set_it_was_not_made_on(
    three: tuple[PatientState, PatientState, PatientState],
) -> None:
    a, b, _ = three
    joined = states.join(a, b)
    if joined.cache is not None:
        assert any(
            one.cache == joined.cache
            and (one.facts, one.generation, one.objected)
            == (joined.facts, joined.generation, joined.objected)
            for one in (a, b)
        )


def test_the_greatest_generation_wins_entirely() -> None:
    old = states.of_change(change([person(), coded("HYP_COD", "2025-01-01")]))
    new = states.of_change(change([person(born="1970-01-01")], generation=1))
    assert states.join(old, new) == new
    assert states.join(new, old) == new


def test_an_objection_empties_the_set_and_wins_within_its_generation() -> None:
    with_facts = states.of_change(change([person()], generation=2))
    objected = states.of_change(change([person()], generation=2, objected=True))
    assert objected.facts == []
    assert states.join(with_facts, objected).objected
    assert states.join(with_facts, objected).facts == []


def test_the_newest_version_of_each_resource_stays_whatever_the_order() -> None:
    first = coded("HYP_COD", "2025-01-01")
    last = void(first)
    for order in ([first, last], [last, first], [last, last, first]):
        assert states.of_change(change(order)).facts == [last]


def test_versions_that_are_equal_as_values_but_not_as_bytes_are_chosen_alike() -> None:
    whole = coded("HBA1C_IFCC", "2025-01-01", value=48, id="same")
    point = coded("HBA1C_IFCC", "2025-01-01", value=48.0, id="same")
    a, b = states.of_change(change([whole])), states.of_change(change([point]))
    assert states.encode(states.join(a, b)) == states.encode(states.join(b, a))


def test_equal_sets_have_equal_bytes() -> None:
    facts: list[Fact] = [person(), coded("HYP_COD", "2025-01-01"), coded("DM_COD", "2024-01-01")]
    made = {states.encode(states.of_change(change(order))) for order in (facts, facts[::-1])}
    assert len(made) == 1


def test_bytes_that_are_no_state_are_refused() -> None:
    for data in (b"", b"\x00", msgspec.msgpack.encode([2, 0, False, [], None, []])):
        with pytest.raises(UnreadableState):
            states.decode(data)
        with pytest.raises(UnreadableState):
            states.decode_header(data)


def test_resources_of_one_id_are_told_apart_by_type_and_source() -> None:
    one = coded("HYP_COD", "2025-01-01", id="same", kind=ResourceType.CONDITION)
    kin = coded("HYP_COD", "2025-01-01", id="same", kind=ResourceType.OBSERVATION)
    foreign = msgspec.structs.replace(one, source="elsewhere")
    newer = msgspec.structs.replace(kin, stamp=kin.stamp + 1)
    assert states.unite([], [kin, one, foreign]).facts == [one, kin, foreign]
    assert states.unite([one], [kin, foreign]) == ([one, kin, foreign], [kin, foreign], [])
    assert states.unite([one, kin], [newer, one]) == ([one, newer], [newer], [kin])
