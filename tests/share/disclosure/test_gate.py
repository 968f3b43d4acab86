"""The k-change gate: laws over any history, and the cases that broke simpler rules."""

from hypothesis import given, settings
from hypothesis import strategies as st

from peerview_common.catalogue import catalogue
from peerview_share.disclosure.gate import Difference, difference, may_move, obstacle
from peerview_share.disclosure.release import History, Submission, release_cell

INFOS = [catalogue()[name] for name in ("bp-htn-u80", "broad-abx", "upc", "appt-14d")]


def test_counts_patients_in_each_of_the_three_counts():
    before = {1: (1, 0), 2: (1, 1), 3: (1, 1), 4: (2, 1)}
    after = {1: (1, 1), 2: (1, 1), 5: (1, 0), 4: (3, 2)}
    # 1 met now; 3 left (numerator too, complement not); 5 came; 4 has one more of both
    assert difference(before, after) == Difference(denominator=3, numerator=3, complement=2)


def test_nothing_released_before_moves():
    assert may_move({1: (1, 1)}, [])


def test_no_change_does_not_move():
    same = dict.fromkeys(range(50), (1, 0))
    assert not may_move(same, [same])


def test_corrected_and_reverted_records_are_held_by_the_older_release():
    first = dict.fromkeys(range(100), (1, 0))
    second = first | dict.fromkeys(range(20), (1, 1))
    third = first | dict.fromkeys(range(3), (1, 1))
    assert may_move(second, [first])
    assert may_move(third, [second])
    assert not may_move(third, [first, second]), "three patients differ from the first release"


def test_complement_of_a_mean_is_in_millionths():
    before = dict.fromkeys(range(10), (1, 1000000))
    after: dict[int, tuple[int, int]] = {}
    assert difference(before, after, 1_000_000) == Difference(10, 10, 0)


def test_it_reads_no_further_than_the_first_obstacle():
    now = dict.fromkeys(range(50), (1, 0))
    read = []

    def earlier():
        for before in (dict.fromkeys(range(70), (1, 0)), now, {}):
            read.append(before)
            yield before

    found = obstacle(now, earlier())
    assert (found.place, found.difference) == (1, Difference(0, 0, 0))
    assert len(read) == 2


contribution = st.one_of(
    st.tuples(st.just(1), st.integers(0, 1)), st.tuples(st.integers(1, 4), st.integers(0, 4))
)
# steps that touch few or many patients of a small population, so that both sides of K are met often
step = st.lists(
    st.tuples(st.integers(0, 39), st.one_of(st.none(), contribution)), min_size=0, max_size=30
)


@settings(max_examples=300, deadline=None)
@given(st.lists(step, min_size=1, max_size=10), st.sampled_from(INFOS))
def test_no_two_released_snapshots_differ_by_one_to_seven_patients(steps, info):
    state = {n: (1, n % 2) for n in range(40)}
    kept: list[dict[int, tuple[int, int]]] = []
    latest = None
    for number, changes in enumerate(steps, 1):
        state = dict(state)
        for patient, value in changes:
            if value is None:
                state.pop(patient, None)
            else:
                state[patient] = value
        decision = release_cell(
            info,
            Submission(state, "2025.1", number),
            History(tuple(kept), latest),
            epoch=number,
            released=number,
        )
        latest = decision.cell
        if decision.is_release:
            for earlier in kept:
                counts = difference(earlier, state, info.scale).counts
                assert all(count == 0 or count >= 8 for count in counts)
            kept.append(state)


@given(
    st.dictionaries(st.integers(0, 30), contribution),
    st.dictionaries(st.integers(0, 30), contribution),
)
def test_difference_is_symmetric_and_as_by_hand(before, after):
    both = difference(before, after)
    assert both == difference(after, before)
    everybody = range(31)
    nothing = (0, 0)
    assert both.denominator == sum(
        before.get(p, nothing)[0] != after.get(p, nothing)[0] for p in everybody
    )
    assert both.complement == sum(
        before.get(p, nothing)[0] - before.get(p, nothing)[1]
        != after.get(p, nothing)[0] - after.get(p, nothing)[1]
        for p in everybody
    )


@given(st.integers(0, 400), st.integers(20, 400), st.sampled_from(INFOS[:2]))
def test_what_is_shown_is_a_multiple_of_five_and_never_rests_on_a_few(numerator, denominator, info):
    numerator = min(numerator, denominator)
    contributions = {n: (1, int(n < numerator)) for n in range(denominator)}
    cell = release_cell(
        info, Submission(contributions, "1", 1), History(), epoch=1, released=1
    ).cell
    rest = denominator - numerator
    if cell.figure is not None:
        assert numerator not in range(1, 8)
        assert rest not in range(1, 8)
        assert cell.figure.numerator % 5 == 0
        assert cell.figure.denominator % 5 == 0
        assert (cell.figure.numerator == cell.figure.denominator) == (rest == 0)
    else:
        assert numerator in range(1, 8) or rest in range(1, 8) or denominator < 50
