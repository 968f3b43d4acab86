"""What the clock costs: who is evaluated again on a day without new data, and how often in vain."""

from dataclasses import replace
from datetime import date

import pytest

from peerview_tools.simulator import PRACTICES
from tests.compute.model.facts_of import CORE
from tests.compute.model.histories import FIRST_DAY, LAST_DAY, make_history
from tests.compute.model.life import Life, Ticks, live, together

START = date(2025, 9, 1)
AT_MOST = 2.0
"""Evaluations of an indicator by ticks, for each that changes what is counted."""


def told(ticks: Ticks, what: str, closing: list[str]) -> None:
    closing.append(f"ticks: {what}: {ticks}")
    closing.extend(
        f"    {name:14} {ticks.evaluations[name]:6,} evaluations for {ticks.changes[name]:6,} "
        f"changes, {ticks.a_day(ticks.evaluations[name]):.2f} of 1,000 patients a day"
        for name in CORE.definitions.indicators
        if ticks.evaluations[name]
    )


def test_a_year_of_ticks_evaluates_at_most_twice_for_each_change(closing: list[str]) -> None:
    ticks = together(
        live(CORE, replace(practice, size=200), START, 366, daily=0.01, check_every=183)
        for practice in PRACTICES[:3]
    )
    closing.append(f"ticks: 600 simulated patients of 3 practices, 366 days: {ticks}")
    assert ticks.changes.total() > 1_000
    assert ticks.per_change <= AT_MOST
    # a day on which a patient is written and nothing counts otherwise is lost too
    assert ticks.moved >= ticks.written / 2


@pytest.mark.long
def test_three_years_of_ticks_in_whole_practices(closing: list[str]) -> None:
    ticks = together(
        live(CORE, practice, START, 1100, daily=0.05, check_every=50) for practice in PRACTICES
    )
    told(ticks, "5 whole practices, 1,100 days", closing)
    assert ticks.per_change <= AT_MOST
    # pruning days are 60 days apart
    assert ticks.a_day(ticks.pruned) <= 1000 / 60


@pytest.mark.long
def test_two_years_of_ticks_over_random_histories(closing: list[str]) -> None:
    facts = {str(seed): [fact for _, fact in make_history(seed).versions] for seed in range(2000)}
    life = Life(CORE, facts, FIRST_DAY)
    for begin in range(FIRST_DAY + 1, LAST_DAY + 1, 91):
        end = min(begin + 91, LAST_DAY + 1)
        life.through(range(begin, end), lambda day: {})
        life.check(end - 1)
    told(life.ticks, "2,000 random histories, two years", closing)
    assert life.ticks.per_change <= AT_MOST
