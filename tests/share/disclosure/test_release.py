"""The worked values of the disclosure rules, and their order."""

import pytest

from peerview_common.catalogue import catalogue
from peerview_share.disclosure.cell import SEAL, Cell, CellState, Released
from peerview_share.disclosure.gate import Difference
from peerview_share.disclosure.release import (
    NO_HISTORY,
    Cause,
    History,
    Submission,
    hold,
    release_cell,
    retracted,
)
from peerview_share.disclosure.rounding import coarser, nearest
from peerview_share.disclosure.size import Reason

BP = catalogue()["bp-htn-u80"]
ABX = catalogue()["broad-abx"]
UPC = catalogue()["upc"]
APPT = catalogue()["appt-14d"]


def patients(numerator, denominator):
    return {n: (1, int(n < numerator)) for n in range(denominator)}


def release(info, contributions, history=NO_HISTORY):
    return release_cell(
        info, Submission(contributions, "2025.1", 20_000), history, epoch=3, released=20_010
    )


def shown(decision):
    figure = decision.cell.figure
    return None if figure is None else (figure.numerator, figure.denominator)


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [
        (0, 100, (0, 100)),
        (7, 100, None),
        (8, 100, (10, 100)),
        (93, 100, None),
        (92, 100, (90, 100)),
        (100, 100, (100, 100)),
        (30, 30, None),
        (11, 19, None),
        (12, 63, (10, 65)),
        (13, 62, (15, 60)),
        (0, 49, None),
        (49, 49, None),
        (0, 50, (0, 50)),
        (1, 100, None),
        (99, 100, None),
        (10, 20, (10, 20)),
    ],
)
def test_worked_values(numerator, denominator, expected):
    decision = release(BP, patients(numerator, denominator))
    assert shown(decision) == expected
    assert decision.is_release, "what passes the gate is a release, shown or not"
    assert decision.cell.state is (CellState.VALUE if expected else CellState.SUPPRESSED)


def test_value_is_derived_from_the_rounded_pair():
    figure = release(BP, patients(12, 63)).cell.figure
    assert figure.value == 15.4, "10 of 65, not 12 of 63 (19.0)"


def prescriptions(*counts, registered=400):
    return {n: (1, counts[n] if n < len(counts) else 0) for n in range(registered)}


def test_twenty_prescriptions_to_six_patients_are_suppressed():
    decision = release(ABX, prescriptions(4, 4, 4, 4, 2, 2))
    assert decision.reason is Reason.FEW_IN_NUMERATOR


def test_one_patient_with_over_half_of_the_prescriptions_is_suppressed():
    decision = release(ABX, prescriptions(11, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, registered=400))
    assert decision.reason is Reason.ONE_DOMINATES
    twelve = release(ABX, prescriptions(11, *[1] * 9, registered=400))
    assert twelve.cell.figure is None


def test_exactly_half_in_one_patient_is_shown():
    assert shown(release(ABX, prescriptions(10, *[1] * 10))) == (20, 400)


def test_the_complement_of_a_rate_is_the_patients_without_an_event():
    few_without = {n: (1, 0 if n < 5 else 1) for n in range(100)}
    assert release(ABX, few_without).reason is Reason.FEW_IN_COMPLEMENT
    many_events = {n: (1, 3 if n < 50 else 0) for n in range(100)}
    cell = release(ABX, many_events).cell
    assert (cell.figure.numerator, cell.figure.denominator, cell.figure.value) == (150, 100, 1500.0)


def test_a_mean_shows_its_rounded_denominator_and_two_decimals_and_no_numerator():
    figure = release(UPC, dict.fromkeys(range(63), (1, 654999))).cell.figure
    assert (figure.numerator, figure.denominator, figure.value) == (None, 65, 0.65)
    halves = release(UPC, dict.fromkeys(range(63), (1, 655000))).cell.figure
    assert halves.value == 0.66


def test_a_mean_with_few_who_saw_more_than_one_gp_is_suppressed():
    almost = {n: (1, 500_000 if n < 3 else 1_000_000) for n in range(100)}
    assert release(UPC, almost).reason is Reason.FEW_IN_COMPLEMENT


def test_sizes_are_in_patients_not_in_appointments():
    few_people = dict.fromkeys(range(19), (50, 25))
    assert release(APPT, few_people).reason is Reason.FEW_PATIENTS
    late_ones = {n: (10, 0 if n < 7 else 10) for n in range(30)}
    assert release(APPT, late_ones).reason is Reason.FEW_IN_COMPLEMENT


def test_one_patient_with_over_half_of_the_seen_appointments_is_suppressed():
    contributions = {0: (60, 60)} | dict.fromkeys(range(1, 40), (2, 1))
    assert release(APPT, contributions).reason is Reason.ONE_DOMINATES


@pytest.mark.parametrize(
    ("count", "rounded"), [(0, 0), (2, 0), (3, 5), (7, 5), (8, 10), (12, 10), (13, 15), (62, 60)]
)
def test_rounding(count, rounded):
    assert nearest(count) == rounded


def test_halves_go_up():
    assert nearest(5, 10) == 10
    assert nearest(15, 10) == 20


class TestStricterAgreement:
    """A multiple of 5, on the cell that is rounded already."""

    @pytest.mark.parametrize(
        ("raw", "base", "expected"),
        [
            ((12, 63), 10, (10, 70)),  # 10/65
            ((13, 62), 10, (20, 60)),  # 15/60
            ((92, 100), 10, (90, 100)),
            ((40, 100), 5, (40, 100)),
            ((30, 120), 50, (50, 100)),
        ],
    )
    def test_rounds_the_rounded(self, raw, base, expected):
        figure = coarser(release(BP, patients(*raw)).cell, base, BP).figure
        assert (figure.numerator, figure.denominator) == expected
        assert figure.value == round(100 * expected[0] / expected[1], 1)

    def test_only_a_multiple_of_five(self):
        for base in (0, -5, 7, 12):
            with pytest.raises(ValueError, match="multiple"):
                coarser(release(BP, patients(40, 100)).cell, base, BP)

    def test_what_becomes_an_extreme_of_a_few_is_suppressed(self):
        found = coarser(release(BP, patients(10, 36)).cell, 25, BP)
        assert (found.state, found.figure) == (CellState.SUPPRESSED, None)

    def test_a_denominator_that_rounds_to_nothing_is_suppressed(self):
        assert coarser(release(BP, patients(10, 40)).cell, 100, BP).figure is None
        upc = release(UPC, dict.fromkeys(range(40), (1, 655000))).cell
        assert coarser(upc, 100, UPC).state is CellState.SUPPRESSED

    def test_a_mean_keeps_its_mean(self):
        upc = release(UPC, dict.fromkeys(range(63), (1, 655000))).cell
        figure = coarser(upc, 50, UPC).figure
        assert (figure.numerator, figure.denominator, figure.value) == (None, 50, 0.66)

    def test_what_has_no_figure_stays_so(self):
        cell = release(BP, patients(3, 100)).cell
        assert coarser(cell, 10, BP) == cell


def test_a_retracted_release_is_dated_and_not_shown():
    cell = retracted(release(BP, patients(40, 100)).cell)
    assert (cell.state, cell.figure, cell.epoch) == (CellState.SUPPRESSED, None, 3)


def test_the_account_is_for_the_subject_and_tells_nothing_to_equality():
    first = release(BP, patients(40, 100))
    history = History((patients(40, 100),), first.cell)
    held = release(BP, patients(43, 100), history)
    assert held.account.cause is Cause.SMALL_CHANGE
    assert held.account.obstacle.difference == Difference(0, 3, 3)
    assert held.account.totals.numerator == 43
    same = release(BP, patients(40, 100), history)
    assert same.account.cause is Cause.UNCHANGED
    assert same == held


def test_a_jump_is_told_to_the_subject():
    first = release(BP, patients(40, 100))
    history = History((patients(40, 100),), first.cell)
    assert not release(BP, patients(60, 100), history).account.jumped
    assert release(BP, patients(70, 100), history).account.jumped


class TestCarriedForward:
    first = release(BP, patients(40, 100))
    history = History((patients(40, 100),), first.cell)

    @pytest.mark.parametrize("numerator", [40, 41, 47])
    def test_the_same_for_no_change_and_for_a_small_one(self, numerator):
        held = release(BP, patients(numerator, 100), self.history)
        assert held == hold(BP, self.history)
        assert held.cell.state is CellState.CARRIED_FORWARD
        assert held.cell.figure == self.first.cell.figure
        assert held.cell.released == 20_010
        assert not held.is_release

    def test_eight_changed_patients_move_it(self):
        moved = release(BP, patients(48, 100), self.history)
        assert moved.cell.state is CellState.VALUE
        assert shown(moved) == (50, 100)

    def test_an_earlier_suppression_stays_with_its_date(self):
        suppressed = release(BP, patients(3, 100))
        held = release(BP, patients(9, 100), History((patients(3, 100),), suppressed.cell))
        assert held.cell == suppressed.cell

    def test_a_suppressed_release_holds_the_next_one(self):
        """Else the reader of 'suppressed, then 8' would learn about the few in between."""
        suppressed = release(BP, patients(5, 100))
        assert suppressed.is_release
        held = release(BP, patients(8, 100), History((patients(5, 100),), suppressed.cell))
        assert not held.is_release

    def test_nothing_before_and_nothing_now(self):
        assert hold(BP, NO_HISTORY).cell.state is CellState.NOT_SUBMITTED


class TestTypes:
    def test_a_figure_cannot_be_made_without_the_seal(self):
        with pytest.raises(TypeError):
            Released(10, 100, 10.0, object())  # type: ignore[arg-type]

    def test_a_figure_refuses_raw_counts(self):
        with pytest.raises(ValueError, match="rounded"):
            Released(12, 63, 19.0, SEAL)

    def test_a_suppressed_cell_has_no_figure(self):
        with pytest.raises(ValueError, match="suppressed"):
            Cell("dna", CellState.SUPPRESSED, Released(10, 100, 10.0, SEAL), "1", 1, 1, 1)

    def test_a_value_has_its_dates(self):
        with pytest.raises(ValueError, match="dates"):
            Cell("dna", CellState.VALUE, Released(10, 100, 10.0, SEAL))
