"""The core as the engine sees it: laws over random histories, then its single promises."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given

from peerview_common.changes import PatientChange
from peerview_common.codes import shipped
from peerview_common.days import date_of
from peerview_common.facts import Fact
from peerview_compute.model import state as states
from peerview_compute.model.calendar import NEVER, lapse
from peerview_compute.model.core import Applied, Core, Tally
from peerview_compute.model.definitions import DefinitionSet
from peerview_compute.model.evaluate import PRUNE_EVERY
from peerview_compute.model.status import Contributions
from tests.compute.model.facts_of import (
    CORE,
    appointment,
    coded,
    contact,
    day,
    panel,
    person,
    registered,
    void,
)
from tests.compute.model.histories import (
    DAY_MILLIS,
    FIRST_DAY,
    LAST_DAY,
    History,
    change,
    histories,
    quick,
    thorough,
)


def batch(facts: list[Fact], on: int) -> Contributions:
    return tuple(found.contribution for found in CORE.evaluator.evaluate_all(facts, on))


def newest(facts: list[Fact]) -> list[Fact]:
    return states.unite([], facts)[0]


def counted(stored: bytes | None) -> Contributions:
    return CORE.all_out if stored is None else CORE.peek(stored).contributions


def facts_of(stored: bytes) -> bytes:
    """A state without its cache, which may have been made on another day."""
    return states.encode(msgspec.structs.replace(states.decode(stored), cache=None))


def check_incremental_equals_batch(history: History) -> None:
    """Live through two years day by day, evaluating only where the core says so."""
    stored: bytes | None = None
    arrived: list[Fact] = []
    waiting = list(history.versions)
    tally = CORE.tally()
    for today in range(FIRST_DAY, LAST_DAY + 1):
        new = []
        while waiting and waiting[0][0] <= today:
            new.append(waiting.pop(0)[1])
        applied: Applied | None = None
        if new:
            arrived = newest(arrived + new)
            applied = CORE.apply(stored, change(new), today)
        elif stored is not None and CORE.peek(stored).stale(today):
            applied = CORE.refresh(stored, today)
        if applied is not None:
            assert applied.before == counted(stored)
            assert applied.after == counted(applied.stored)
            assert applied.next_change > today
            tally.replace(applied.before, applied.after)
            stored = applied.stored
        expected = batch(arrived, today)
        assert counted(stored) == expected, today
        whole = CORE.tally()
        whole.add(expected)
        assert tally == whole


def check_any_order_gives_the_same(history: History) -> None:
    """The same versions, grouped, repeated and ordered otherwise. Some parts have a cache, made on
    a day on which nothing is pruned yet."""
    random = history.shuffled()
    facts = [fact for _, fact in history.versions]
    straight = CORE.refresh(CORE.apply(None, change(facts), None).stored, LAST_DAY)
    several = facts + random.choices(facts, k=len(facts) // 2)
    random.shuffle(several)
    parts: list[bytes] = []
    while several:
        size = random.randint(1, len(several))
        head, several = several[:size], several[size:]
        if parts and random.random() < 0.7:
            parts[-1] = CORE.apply(parts[-1], change(head), None).stored
        else:
            parts.append(CORE.apply(None, change(head), FIRST_DAY - 2200).stored)
    random.shuffle(parts)
    joined = parts[0]
    for part in parts[1:]:
        joined = CORE.merge(joined, part)
    other = CORE.refresh(joined, LAST_DAY)
    assert facts_of(other.stored) == facts_of(straight.stored)
    assert other.after == straight.after == batch(newest(facts), LAST_DAY)
    again = CORE.apply(other.stored, change(newest(facts)), LAST_DAY)
    assert facts_of(again.stored) == facts_of(other.stored)
    assert again.after == other.after


def check_arrival_in_time_prunes_alike(history: History) -> None:
    """What arrives as time goes by ends as what arrives at once: pruning is lawful as long as
    nothing arrives more than 13 months after it was recorded."""
    stored: bytes | None = None
    for arrives, fact in history.versions:
        stored = CORE.apply(stored, change([fact]), min(arrives, LAST_DAY)).stored
    assert stored is not None
    lived = CORE.refresh(stored, LAST_DAY + 800)
    facts = [fact for _, fact in history.versions]
    at_once = CORE.refresh(CORE.apply(None, change(facts), None).stored, LAST_DAY + 800)
    assert facts_of(lived.stored) == facts_of(at_once.stored)


def check_next_change_is_never_late(history: History) -> None:
    """Each indicator by itself, without data: between a day and its next change nothing moves."""
    facts = newest([fact for _, fact in history.versions])
    for today in range(FIRST_DAY, LAST_DAY, 29):
        found = CORE.evaluator.evaluate_all(facts, today)
        for later in (today + 1, today + 13, today + 28, today + 200):
            then = CORE.evaluator.evaluate_all(facts, later)
            for before, after in zip(found, then, strict=True):
                assert before.next_change > today
                if later < before.next_change:
                    assert after.contribution == before.contribution, (today, later)


LAWS = (
    check_incremental_equals_batch,
    check_any_order_gives_the_same,
    check_arrival_in_time_prunes_alike,
    check_next_change_is_never_late,
)


@given(histories())
@quick(25)
def test_incremental_equals_batch_on_every_day(history: History) -> None:
    check_incremental_equals_batch(history)


@given(histories())
@quick(80)
def test_any_interleaving_duplication_or_regrouping_gives_the_same_state(history: History) -> None:
    check_any_order_gives_the_same(history)


@given(histories())
@quick(80)
def test_pruning_as_time_goes_by_ends_in_the_same_set_as_pruning_at_the_end(
    history: History,
) -> None:
    check_arrival_in_time_prunes_alike(history)


@given(histories())
@quick(40)
def test_the_next_change_is_never_late(history: History) -> None:
    check_next_change_is_never_late(history)


@pytest.mark.long
@given(histories())
@thorough()
def test_all_laws_hold_for_many_histories(history: History) -> None:
    for law in LAWS:
        law(history)


HYPERTENSIVE = [
    person("1967-06-15"),
    registered("2010-01-01"),
    coded("HYP_COD", "2015-01-01"),
]


def apply(stored: bytes | None, facts: list[Fact], on: str | None) -> Applied:
    return CORE.apply(stored, change(facts), None if on is None else day(on))


def test_without_a_tick_nothing_is_evaluated_pruned_or_counted() -> None:
    old = coded("HYPINVITE_COD", "1999-01-01")
    applied = apply(None, [*HYPERTENSIVE, old], None)
    assert applied.after == CORE.all_out
    assert applied.evaluations == 0
    assert CORE.peek(applied.stored).cache is None
    assert CORE.peek(applied.stored).stale(day("2025-06-01"))
    assert old in CORE.facts(applied.stored)
    then = CORE.refresh(applied.stored, day("2025-06-01"))
    assert then.before == CORE.all_out
    assert then.after == batch(HYPERTENSIVE, day("2025-06-01"))


def test_the_same_change_again_changes_nothing() -> None:
    first = apply(None, HYPERTENSIVE, "2025-06-01")
    again = apply(first.stored, HYPERTENSIVE, "2025-06-02")
    assert not again.changed
    assert again.stored == first.stored
    assert again.evaluations == 0
    assert again.before == again.after == first.after


def test_only_what_a_fact_touches_is_evaluated_again() -> None:
    first = apply(None, HYPERTENSIVE, "2025-06-01")
    assert first.evaluations == 12
    reading = apply(first.stored, [panel("2025-05-30", 130, 80)], "2025-06-01")
    assert reading.evaluations == 1
    assert reading.before == first.after
    assert reading.after == batch(CORE.facts(reading.stored), day("2025-06-01"))
    assert apply(first.stored, [appointment("2025-05-30")], "2025-06-01").evaluations == 2
    assert apply(first.stored, [contact("2025-05-30")], "2025-06-01").evaluations == 1
    assert apply(first.stored, [void(HYPERTENSIVE[0])], "2025-06-01").evaluations == 10


def test_a_change_between_a_tick_and_its_refresh_moves_the_tally_from_what_was_counted() -> None:
    first = apply(None, [*HYPERTENSIVE, panel("2025-01-01", 130, 80)], "2025-12-01")
    later = apply(first.stored, [contact("2025-12-30")], "2026-01-01")
    assert later.before == first.after
    assert later.after == batch(CORE.facts(later.stored), day("2026-01-01"))
    assert later.before != later.after


def test_a_refresh_before_the_next_change_costs_nothing_and_keeps_the_bytes() -> None:
    first = apply(None, [*HYPERTENSIVE, panel("2025-01-01", 130, 80)], "2025-02-01")
    assert first.next_change == day("2026-01-01")
    kept = CORE.refresh(first.stored, day("2025-12-31"))
    assert (kept.changed, kept.evaluations, kept.stored) == (False, 0, first.stored)
    lapsed = CORE.refresh(first.stored, day("2026-01-01"))
    assert lapsed.evaluations == 1
    assert lapsed.before != lapsed.after


def test_a_cache_of_other_definitions_counts_nothing() -> None:
    first = apply(None, HYPERTENSIVE, "2025-06-01")
    fewer = Core(
        DefinitionSet(
            [one for one in CORE.definitions.all if one.id != "upc"],
            CORE.definitions.readings,
            shipped(),
        )
    )
    assert fewer.definitions.hash != CORE.definitions.hash
    peek = fewer.peek(first.stored)
    assert peek.cache is None
    assert peek.contributions == fewer.all_out
    assert peek.stale(day("2025-06-01"))
    refreshed = fewer.refresh(first.stored, day("2025-06-01"))
    assert refreshed.before == fewer.all_out
    assert refreshed.evaluations == 11


def test_a_cache_holds_no_day_before_it_was_made() -> None:
    first = apply(None, HYPERTENSIVE, "2025-06-01")
    assert CORE.peek(first.stored).stale(day("2025-05-31"))
    earlier = CORE.refresh(first.stored, day("2025-05-31"))
    assert earlier.after == batch(HYPERTENSIVE, day("2025-05-31"))


def test_an_objection_takes_everything_out_and_opting_in_again_brings_new_facts_only() -> None:
    first = apply(None, [*HYPERTENSIVE, appointment("2025-05-30")], "2025-06-01")
    out = CORE.apply(first.stored, change([], generation=1, objected=True), day("2025-06-01"))
    assert out.before == first.after
    assert out.after == CORE.all_out
    assert (out.objected_before, out.objected_after) == (False, True)
    assert CORE.facts(out.stored) == []
    assert not CORE.peek(out.stored).stale(day("2030-01-01"))
    late = apply(out.stored, HYPERTENSIVE, "2025-06-02")
    assert late.stored == out.stored
    back = CORE.apply(out.stored, change(HYPERTENSIVE[:2], generation=2), day("2025-06-02"))
    assert (back.objected_before, back.objected_after) == (True, False)
    assert CORE.facts(back.stored) == newest(HYPERTENSIVE[:2])


def test_an_empty_marker_outlives_late_records_of_what_it_replaced() -> None:
    first = apply(None, HYPERTENSIVE, "2025-06-01")
    marker = CORE.empty(first.stored)
    assert marker.before == first.after
    assert marker.after == CORE.all_out
    assert CORE.merge(first.stored, marker.stored) == marker.stored
    assert apply(marker.stored, HYPERTENSIVE, "2025-06-02").after == CORE.all_out


def test_two_records_of_one_key_join_and_their_cache_goes_unless_one_holds_all() -> None:
    first = apply(None, HYPERTENSIVE, "2025-06-01")
    second = apply(first.stored, [panel("2025-05-30", 130, 80)], "2025-06-02")
    other = apply(first.stored, [contact("2025-05-30")], "2025-06-02")
    assert CORE.merge(first.stored, second.stored) == second.stored
    both = CORE.merge(second.stored, other.stored)
    assert CORE.peek(both).cache is None
    assert len(CORE.facts(both)) == 5
    assert CORE.refresh(both, day("2025-06-02")).after == batch(CORE.facts(both), day("2025-06-02"))


def test_rekeying_joins_the_sets_and_keeps_the_origin() -> None:
    old = apply(None, HYPERTENSIVE, "2025-06-01").stored
    new = apply(None, [person("1960-06-15"), panel("2025-05-30", 130, 80)], "2025-06-01")
    moved = CORE.rekey(
        old, new.stored, old_key=b"o" * 16, old_source="system one", day=day("2025-06-01")
    )
    assert CORE.origins(moved.stored) == (b"o" * 16,)
    assert moved.before == new.after
    assert moved.after == batch(CORE.facts(moved.stored), day("2025-06-01"))
    assert {fact.source for fact in CORE.facts(moved.stored)} == {"", "system one"}
    assert len(CORE.facts(moved.stored)) == 5
    again = CORE.rekey(moved.stored, None, old_key=b"n" * 16, old_source="", day=day("2025-06-01"))
    assert CORE.origins(again.stored) == (b"o" * 16,)
    assert CORE.facts(again.stored) == CORE.facts(moved.stored)


def test_rekeying_twice_or_nobody_changes_nothing() -> None:
    old = apply(None, HYPERTENSIVE, "2025-06-01").stored
    on = day("2025-06-01")
    once = CORE.rekey(old, None, old_key=b"o" * 16, old_source="", day=on)
    for source in (old, CORE.empty(old).stored, None):
        twice = CORE.rekey(source, once.stored, old_key=b"o" * 16, old_source="", day=on)
        assert twice.stored == once.stored
        assert twice.after == once.after


def test_rekeying_keeps_one_version_of_what_came_from_one_system_twice() -> None:
    on = day("2025-06-01")
    first = apply(None, [person("1930-01-01", stamp=1)], "2025-06-01").stored
    second = apply(None, [person("1960-06-15", stamp=2)], "2025-06-01").stored
    once = CORE.rekey(first, second, old_key=b"o" * 16, old_source="old", day=on).stored
    assert len(CORE.facts(once)) == 2
    twice = CORE.rekey(once, None, old_key=b"n" * 16, old_source="old", day=on).stored
    assert [(fact.source, fact.stamp) for fact in CORE.facts(twice)] == [("old", 2)]


def test_after_a_change_of_system_the_present_system_says_who_the_person_is() -> None:
    old = apply(None, [person("1930-01-01", stamp=10**15)], "2025-06-01").stored
    new = apply(None, [person("1960-06-15", id="other")], "2025-06-01").stored
    moved = CORE.rekey(old, new, old_key=b"o" * 16, old_source="old", day=day("2025-06-01"))
    assert moved.after == batch([person("1960-06-15")], day("2025-06-01"))


def test_the_gps_of_a_patient_are_those_of_the_last_12_months_registered_or_not() -> None:
    stored = apply(
        None,
        [
            contact("2025-06-01", b"gp-one--"),
            contact("2024-06-02", b"gp-two--"),
            contact("2024-06-01", b"gp-three"),
            contact("2025-06-02", b"gp-four-"),
        ],
        None,
    ).stored
    assert CORE.gps(stored, day("2025-06-01")) == {b"gp-one--", b"gp-two--"}


def stamped(fact: Fact, on: str) -> Fact:
    return Fact(fact.type, fact.id, day(on) * DAY_MILLIS, 1, "", False, fact.body)


def goes_on(fact: Fact, stored: bytes, since: int) -> int:
    """The first day from ``since`` on that finds the fact gone."""
    return next(
        on for on in range(since, since + 500) if fact not in CORE.facts(refreshed(stored, on))
    )


def refreshed(stored: bytes, on: int) -> bytes:
    return CORE.refresh(stored, on).stored


def test_a_fact_that_counts_in_windows_only_goes_13_months_after_the_longest() -> None:
    invited = stamped(coded("HYPINVITE_COD", "2020-03-31"), "2020-03-31")
    old = lapse(day("2020-03-31"), 12 + 13)
    stored = CORE.apply(None, change([*HYPERTENSIVE, invited]), old - 1).stored
    assert invited in CORE.facts(stored)
    gone = goes_on(invited, stored, old - 1)
    assert old <= gone < old + PRUNE_EVERY
    assert CORE.peek(refreshed(stored, gone - 1)).next_change <= gone


def test_a_fact_recorded_late_stays_13_months_after_its_stamp() -> None:
    invited = stamped(coded("HYPINVITE_COD", "2010-03-31"), "2024-06-01")
    stored = CORE.apply(None, change([*HYPERTENSIVE, invited]), day("2025-06-30")).stored
    assert invited in CORE.facts(stored)
    old = day("2025-07-01")
    assert old <= goes_on(invited, stored, old - 1) < old + PRUNE_EVERY


def test_the_old_facts_of_a_patient_go_together_and_those_of_others_on_other_days() -> None:
    first = day("2020-01-01")
    contacts = [
        stamped(contact(on), date_of(on).isoformat()) for on in range(first, first + 240, 8)
    ]
    begins = lapse(first, 12 + 13)
    phases = set()
    for name in "abcdefgh":
        stored = CORE.apply(None, change([person(id=name), *contacts]), begins - 1).stored
        goes = []
        for on in range(begins - 1, begins + 320):
            left = len(CORE.facts(stored))
            stored = refreshed(stored, on)
            goes += [on] * (left - len(CORE.facts(stored)))
        assert len(goes) == len(contacts)
        assert len(set(goes)) <= 5
        assert len({on % PRUNE_EVERY for on in goes}) == 1
        phases.add(goes[0] % PRUNE_EVERY)
    assert len(phases) > 4


def test_what_goes_of_somebody_without_a_patient_would_go_with_any() -> None:
    met = stamped(contact("2020-01-01"), "2020-01-01")
    alone = CORE.apply(None, change([met]), day("2022-01-01")).stored
    gone = goes_on(met, alone, day("2022-01-01"))
    assert gone == lapse(day("2020-01-01"), 12 + 13) + PRUNE_EVERY
    for name in "abcdefgh":
        known = CORE.apply(None, change([met, person(id=name)]), day("2022-01-01")).stored
        assert goes_on(met, known, day("2022-01-01")) <= gone


def test_a_patient_who_comes_late_takes_the_pruning_days_along() -> None:
    met = stamped(contact("2020-01-01"), "2020-01-01")
    begun = CORE.apply(None, change([met]), day("2020-02-01")).stored
    late = CORE.apply(begun, change([person()]), day("2022-01-01")).stored
    at_once = CORE.apply(None, change([met, person()]), day("2022-01-01")).stored
    assert late == at_once


def test_what_counts_however_old_it_is_stays() -> None:
    kept = [
        *HYPERTENSIVE,
        coded("CHA2DS2VASC_SCORE", "1990-01-01", value=2),
        coded("SEVFRAIL_COD", "1990-01-01"),
        coded("DOACDEC_COD", "1990-01-01"),
        coded("MMR_COD", "1990-01-01"),
        coded("NOCX_COD", "1990-01-01"),
        coded("PALCARENI_COD", "1990-01-01"),
        coded(("HYPINVITE_COD", "HYP_COD"), "1990-01-01"),
    ]
    assert len(CORE.facts(CORE.apply(None, change(kept), day("2040-01-01")).stored)) == len(kept)


def test_appointments_contacts_and_deletions_go_too() -> None:
    gone = [
        appointment("2024-01-31"),
        contact("2023-04-30"),
        void(coded("HYP_COD", "2010-01-01"), stamp=day("2018-01-01") * DAY_MILLIS),
        panel("2023-04-30", 120, 80),
    ]
    on = day("2025-06-01")
    assert CORE.facts(CORE.apply(None, change([*gone, HYPERTENSIVE[0]]), on).stored) == [
        HYPERTENSIVE[0]
    ]
    assert CORE.apply(None, change(gone), on).after == CORE.all_out


def test_a_deleted_person_stays_deleted() -> None:
    deleted = void(person(), stamp=0)
    assert CORE.facts(CORE.apply(None, change([deleted]), day("2025-06-01")).stored) == [deleted]


def test_pruning_changes_no_figure_of_the_last_13_months() -> None:
    on = day("2025-06-01")
    old = [coded("SMEAR_COD", when) for when in range(on - 3000, on, 97)]
    facts = [*HYPERTENSIVE, *old, *(panel(when, 130, 80) for when in range(on - 1500, on, 61))]
    kept = CORE.facts(CORE.apply(None, change(facts), on).stored)
    assert len(kept) < len(facts)
    for back in range(0, 390, 10):
        assert batch(kept, on - back) == batch(facts, on - back)


def test_a_tally_is_the_sum_of_what_is_counted() -> None:
    tally: Tally = CORE.tally()
    assert tally.is_zero
    steps = [
        apply(None, HYPERTENSIVE, "2025-06-01"),
    ]
    steps.append(apply(steps[-1].stored, [panel("2025-05-30", 130, 80)], "2025-06-01"))
    steps.append(apply(steps[-1].stored, [coded("HTMAX_COD", "2025-05-30")], "2025-06-01"))
    for step in steps:
        tally.replace(step.before, step.after)
    for before, after in pairwise(steps):
        assert before.after == after.before
    counts = tally[CORE.definitions.indicators.index("bp-htn-u80")]
    assert (counts.denominator, counts.numerator, counts.met, counts.miss) == (1, 1, 1, 0)
    tally.replace(steps[-1].after, CORE.all_out)
    assert tally.is_zero


@given(histories())
@quick(60)
def test_counting_cells_is_adding_contributions(history: History) -> None:
    facts = [fact for _, fact in history.versions]
    for stored in (
        CORE.apply(None, change(facts), LAST_DAY).stored,
        CORE.apply(None, change(facts), None).stored,
    ):
        peek = CORE.peek(stored)
        added, counted = CORE.tally(), CORE.tally()
        added.add(peek.contributions)
        counted.count(peek.cells)
        assert counted == added
        counted.count(peek.cells, -1)
        assert counted.is_zero


def test_a_patient_whom_nothing_awaits_is_never_due() -> None:
    applied = CORE.apply(None, PatientChange(b"p" * 16, 0, False, []), day("2025-06-01"))
    assert applied.next_change == NEVER
    assert CORE.peek(applied.stored).empty
