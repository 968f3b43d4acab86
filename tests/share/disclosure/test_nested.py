"""Stricter gates: a series of releases for each `minChange`, each within the one before."""

import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerview_common.catalogue import catalogue
from peerview_share.disclosure.cell import SEAL, Cell, CellState, Released
from peerview_share.disclosure.gate import Difference
from peerview_share.disclosure.nested import Margin, MarkedRelease, reach, shown_under
from peerview_share.disclosure.release import History, Submission, release_cell, retracted
from peerview_share.disclosure.steps import STEPS, TOP, step

BP, DNA, UPC = (catalogue()[name] for name in ("bp-htn-u80", "dna", "upc"))


def differing(*counts):
    return [Difference(0, count, count) for count in counts]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(8, 8), (9, 8), (10, 10), (14, 10), (15, 15), (29, 20), (99, 50), (100, 100), (1000, 100)],
)
def test_the_largest_step_that_so_many_patients_make(count, expected):
    assert step(count) == expected


@pytest.mark.parametrize(
    ("counts", "reaches", "expected"),
    [
        # the first release is shown to all
        ((), (), 100),
        ((12,), (100,), 10),
        ((9,), (100,), 8),
        ((100,), (100,), 100),
        # the earlier one was shown under 8 and 10 alone: more than 10 patients stop nothing
        ((12,), (10,), 100),
        ((12, 40), (10, 100), 30),
        ((9, 40), (10, 100), 8),
        # one from before reaches were kept was shown by no stricter agreement
        ((8,), (8,), 100),
        # the series of 10 stops it, so that of 30 does not get it either
        ((9, 60), (10, 30), 8),
    ],
)
def test_the_reach_of_a_release(counts, reaches, expected):
    assert reach(differing(*counts), reaches) == expected


def test_without_reaches_everything_was_shown():
    assert reach(differing(12, 60)) == 10


def test_the_least_of_the_counts_that_are_not_0_decides():
    assert reach([Difference(0, 25, 11)], (TOP,)) == 10
    assert reach([Difference(0, 0, 0)], (8,)) == TOP, "the gate lets no such pair pass"


def test_as_many_reaches_as_releases_are_needed():
    with pytest.raises(ValueError, match="shorter"):
        reach(differing(12, 12), (100,))


def cell(number, figure=True, state=None):
    made = Released(50, 100, 50.0, SEAL) if figure else None
    usual = CellState.VALUE if figure else CellState.SUPPRESSED
    return Cell(BP.id, state or usual, made, f"2026.{number}", number, number, 100 + number)


def marked(number, reach, patients=100, figure=True, **given):
    return MarkedRelease(cell(number, figure), Margin(reach, patients), **given)


class TestWhatIsShown:
    releases = marked(5, 8, 100), marked(4, 15, 95), marked(2, 100, 90)

    def shown(self, now=None, releases=None, change=8, patients=20):
        chosen = self.releases if releases is None else releases
        return shown_under(now or cell(5), lambda: chosen, min_change=change, min_patients=patients)

    def test_the_defaults_change_nothing(self):
        now = cell(5)
        assert self.shown(now) is now
        assert self.shown(now, ()) is now

    @pytest.mark.parametrize(("change", "number"), [(10, 4), (15, 4), (20, 2), (100, 2)])
    def test_the_newest_that_reaches_so_far_stays_with_its_date(self, change, number):
        found = self.shown(change=change)
        assert (found.epoch, found.released, found.version) == (
            number, 100 + number, f"2026.{number}"
        )  # fmt: skip
        assert found.state is CellState.CARRIED_FORWARD

    def test_what_reaches_so_far_is_shown_as_it_is(self):
        now = cell(5)
        assert self.shown(now, (marked(5, 30), *self.releases), change=30) is now
        carried = cell(5, state=CellState.CARRIED_FORWARD)
        assert self.shown(carried, (marked(5, 30), *self.releases), change=30) is carried

    def test_a_suppressed_release_that_reaches_so_far_counts_as_shown(self):
        found = self.shown(releases=(marked(5, 8), marked(4, 20, figure=False)), change=20)
        assert (found.state, found.epoch) == (CellState.SUPPRESSED, 4)

    def test_one_that_was_taken_back_is_not_shown_here_either(self):
        wrong = MarkedRelease(retracted(cell(4)), Margin(20, 100))
        found = self.shown(releases=(marked(5, 8), wrong, marked(3, 100)), change=20)
        assert (found.state, found.epoch) == (CellState.SUPPRESSED, 4)

    def test_a_newer_one_that_was_taken_back_was_never_shown_here(self):
        found = self.shown(retracted(cell(5)), change=15)
        assert (found.state, found.epoch) == (CellState.CARRIED_FORWARD, 4)

    def test_from_before_there_were_margins_nothing_is_shown(self):
        for asks in ({"change": 10}, {"patients": 21}):
            assert self.shown(releases=(), **asks).state is CellState.SUPPRESSED
            assert self.shown(cell(6), **asks).epoch == (4 if "change" in asks else 6)
        assert self.shown(cell(6), patients=21).state is CellState.SUPPRESSED

    def test_what_the_gate_has_forgotten_is_not_shown_and_keeps_its_own_date(self):
        found = self.shown(releases=(marked(5, 8), marked(2, 100, forgotten=True)), change=10)
        assert (found.state, found.epoch) == (CellState.SUPPRESSED, 2)

    @pytest.mark.parametrize(
        ("patients", "shows"), [(98, True), (99, False), (100, False), (21, True)]
    )
    def test_patients_by_the_least_that_their_rounded_number_may_stand_for(self, patients, shows):
        assert (self.shown(patients=patients).figure is not None) == shows

    def test_patients_of_the_release_that_is_shown(self):
        assert self.shown(change=20, patients=88).figure is not None
        assert self.shown(change=20, patients=89).figure is None
        assert self.shown(change=20, patients=89).epoch == 2

    @pytest.mark.parametrize(
        "state", [CellState.NOT_SUBMITTED, CellState.NOT_APPLICABLE, CellState.NOT_SHARED]
    )
    def test_what_was_never_released_stays_as_it_is(self, state):
        now = Cell(BP.id, state)
        assert self.shown(now, (), change=100, patients=100) is now


def test_the_numbers_are_in_no_text():
    assert "95" not in str(marked(4, 15, 95))
    assert "15" not in repr(Margin(15, 95))


def test_a_release_keeps_its_patients_to_the_nearest_5_and_its_reach():
    """Of appointments to 43 patients, three each."""
    found = {n: (3, n % 3) for n in range(43)}
    first = release_cell(DNA, Submission(found, "1", 1), History(), epoch=1, released=1)
    assert first.margin == Margin(TOP, 45)
    moved = found | {n: (4, n % 3) for n in range(12)}
    history = History([found], first.cell, (), (TOP,))
    second = release_cell(DNA, Submission(moved, "1", 2), history, epoch=2, released=2)
    assert second.margin == Margin(10, 45)
    held = release_cell(DNA, Submission(found, "1", 3), history, epoch=3, released=3)
    assert held.margin is None, "nothing is kept of what is not released"


def through(info, sizes, seed, memory):
    """``[(decision, snapshot, the releases that the gate compared with)]`` of a practice of 160
    patients, of whom so many change in each step; the gate remembers the last ``memory``."""
    rng = random.Random(seed)
    state = {n: (1, rng.randrange(2)) for n in range(160)}
    kept, found, latest = [], [], None
    for number, size in enumerate(sizes, 1):
        state = dict(state)
        for patient in rng.sample(range(200), size):
            value = state.pop(patient, None)
            if value is None or rng.random() < 0.9:
                state[patient] = (1, 1 - value[1] if value else rng.randrange(2))
        retained = [n for n in range(len(kept)) if n >= len(kept) - memory]
        decision = release_cell(
            info,
            Submission(state, "1", number),
            History(
                [kept[n][1] for n in retained],
                latest,
                (),
                tuple(kept[n][0].margin.reach for n in retained),
            ),
            epoch=number,
            released=number,
        )
        latest = decision.cell
        found.append((decision, state, retained))
        if decision.is_release:
            kept.append((decision, state))
    return found, kept


def counts(one, other, scale):
    """Patients who differ in each count, without the gate's code."""
    nobody = (0, 0)
    pairs = [(one.get(p, nobody), other.get(p, nobody)) for p in one.keys() | other.keys()]
    return (
        sum(a[0] != b[0] for a, b in pairs),
        sum(a[1] != b[1] for a, b in pairs),
        sum(scale * a[0] - a[1] != scale * b[0] - b[1] for a, b in pairs),
    )


sizes = st.lists(st.sampled_from((0, 2, 8, 9, 12, 16, 24, 40, 70, 140)), min_size=1, max_size=9)


@settings(max_examples=150, deadline=None)
@given(sizes, st.integers(0, 2**32), st.sampled_from((BP, DNA, UPC)))
def test_any_two_of_a_stricter_series_differ_by_nobody_or_so_many_in_each_count(sizes, seed, info):
    _, kept = through(info, sizes, seed, memory=len(sizes))
    for least in STEPS:
        series = [each for each in kept if each[0].margin.reach >= least]
        for (_, one), (_, other) in combinations(series, 2):
            between = counts(one, other, info.scale)
            assert all(count == 0 or count >= least for count in between), (least, between)
            assert any(between)
    for less, more in pairwise(STEPS):
        reached = {each[0].cell.epoch for each in kept if each[0].margin.reach >= more}
        assert reached <= {each[0].cell.epoch for each in kept if each[0].margin.reach >= less}
    assert all(each[0].margin.reach in STEPS for each in kept)
    assert kept[0][0].margin.reach == TOP
    # what is not shown under a step has a release, shown under it or a smaller one, that forbids it
    for number, (decision, state) in enumerate(kept):
        stops = [each for each in STEPS if each > decision.margin.reach][:1]
        for least in stops:
            earlier = [each for each in kept[:number] if each[0].margin.reach >= least]
            assert any(0 < c < least for _, one in earlier for c in counts(one, state, info.scale))


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(0, 2**32), st.sampled_from(STEPS))
def test_what_an_agreement_shows_over_time_is_part_of_what_was_released(sizes, seed, least):
    found, _ = through(BP, sizes, seed, memory=len(sizes))
    shown, released = [], []
    for decision, _, _ in found:
        if decision.is_release:
            released.insert(0, MarkedRelease(decision.cell, decision.margin))
        shown.append(
            shown_under(decision.cell, lambda: released, min_change=least, min_patients=20)
        )
    by_epoch = {each.cell.epoch: each.cell for each in released}
    assert all(one.epoch <= other.epoch for one, other in pairwise(shown))
    for each in shown:
        assert each.figure == by_epoch[each.epoch].figure
    series = {each.cell.epoch for each in released if each.margin.reach >= least}
    assert {each.epoch for each in shown} == series


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(0, 2**32), st.integers(1, 3))
def test_within_the_gates_memory_it_holds_too(sizes, seed, memory):
    found, _ = through(BP, sizes, seed, memory)
    kept = []
    for decision, state, retained in found:
        if decision.is_release:
            reach = decision.margin.reach
            for number in retained:
                before, one = kept[number]
                least = min(before.margin.reach, reach)
                assert all(c == 0 or c >= least for c in counts(one, state, 1))
            kept.append((decision, state))
