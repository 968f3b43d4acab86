"""Rule 8: contributors change by threes, and a withdrawal is never recomputed."""

from hypothesis import given, settings
from hypothesis import strategies as st

from peerview_share.disclosure.membership import Outcome, Step, apart, decide, stands


def practices(*numbers):
    return frozenset(f"A{n:05}" for n in numbers)


TWELVE = practices(*range(12))


def after(with_value, *, eligible=None, last=TWELVE, others=()):
    return decide(
        eligible=with_value if eligible is None else eligible,
        with_value=with_value,
        last=last,
        others=others,
    )


def test_the_first_figure_needs_ten():
    assert after(practices(*range(9)), last=None).step is Step.TOO_FEW
    assert after(practices(*range(10)), last=None) == Outcome(Step.FRESH, practices(*range(10)))


def test_one_or_two_who_come_wait():
    for more in (13, 14):
        assert after(practices(*range(more))) == Outcome(Step.FRESH, TWELVE)


def test_three_who_come_are_in():
    assert after(practices(*range(15))).members == practices(*range(15))


def test_one_without_a_value_leaves_the_figure_as_it_was():
    found = after(TWELVE - practices(3), eligible=TWELVE)
    assert found == Outcome(Step.CARRIED, TWELVE)


def test_one_who_withdraws_tombstones_it():
    assert after(TWELVE - practices(3)).step is Step.TOMBSTONED
    assert not stands(TWELVE, TWELVE - practices(3))


def test_a_tombstone_ends_once_three_have_changed():
    found = after((TWELVE - practices(3)) | practices(20, 21))
    assert found == Outcome(Step.FRESH, (TWELVE - practices(3)) | practices(20, 21))


def test_three_who_withdraw_change_it_if_ten_are_left():
    assert after(practices(*range(3, 12))).step is Step.TOMBSTONED
    fifteen = practices(*range(15))
    assert after(TWELVE, last=fifteen) == Outcome(Step.FRESH, TWELVE)


def test_a_set_close_to_one_shown_before_is_not_shown():
    """Three come, then three others go: against the first set only one would differ."""
    now = practices(*range(3, 15)) | practices(20)
    shown = [practices(*range(3, 15))]
    assert after(now, last=practices(*range(15)), others=shown).step is Step.TOMBSTONED


def test_another_network_with_almost_the_same_members_shows_nothing():
    assert after(practices(*range(13)), last=None, others=[TWELVE]).step is Step.TOO_FEW
    assert after(TWELVE, last=None, others=[TWELVE]).step is Step.FRESH


some = st.integers(0, 2**14 - 1).map(
    lambda bits: practices(*(n for n in range(14) if bits >> n & 1 or n < 6))
)


@settings(max_examples=300)
@given(st.lists(st.tuples(some, some), min_size=1, max_size=12))
def test_no_two_sets_ever_shown_differ_by_one_or_two(history):
    """Over any history of joining, leaving and missing values."""
    last = None
    shown = []
    for eligible, valued in history:
        found = decide(eligible=eligible, with_value=valued, last=last, others=shown)
        if found.step is Step.FRESH:
            assert found.members <= eligible & valued
            assert len(found.members) >= 10
            assert all(apart(found.members, earlier) for earlier in shown)
            last = found.members
            shown.append(last)
        elif found.step is Step.CARRIED:
            assert found.members == last
            assert stands(last, eligible)
        else:
            assert not found.members


def test_members_whom_the_viewer_sees_by_name_do_not_count_as_a_change():
    """Two join, and one leaves because it is seen by name: the viewer could take it off."""
    shown = frozenset(f"A990{n:02}" for n in range(12))
    named = frozenset(["A99000"])
    eligible = shown - named | {"A99050", "A99051"}

    def after(members, seen_by_name):
        return decide(
            eligible=members, with_value=members, last=shown, seen_by_name=seen_by_name
        ).step

    assert after(eligible, frozenset()) is Step.FRESH, "three changed"
    assert after(eligible, named) is Step.TOMBSTONED, "but one of them is known"
    assert after(eligible | {"A99052"}, named) is Step.FRESH
    assert after(shown - named, named) is Step.FRESH, "only one who is known has left"
