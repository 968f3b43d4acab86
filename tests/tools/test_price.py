"""The simulation of releases: a small one of each variant by default, the whole one when there is
time."""

import random

import pytest

from peerview_tools.price import run as command
from peerview_tools.price.page import page
from peerview_tools.price.rates import RATES
from peerview_tools.price.simulation import PRODUCT, VARIANTS, Plan, simulate
from peerview_tools.price.stream import MET, Practice

LAST, FIRST = (name for name in VARIANTS if name != PRODUCT)


@pytest.fixture(scope="module")
def small():
    return simulate(Plan(sizes=(3_500,), practices=2, seed=1))


def test_behind_the_products_gate_and_rules_nothing_is_found(small):
    assert small.pairs(PRODUCT) > 2_000
    assert small.finds(PRODUCT) == 0
    (small_figures,) = (tried for tried in small.attacks[PRODUCT].tried()[1:])
    assert small_figures.pairs > 200
    assert small_figures.finds == ()


def test_the_attacker_finds_what_weaker_rules_let_through(small):
    assert small.finds(LAST) > 0
    assert small.finds(FIRST) > 0


def test_small_registers_wait_and_waiting_is_shorter_by_quarters(small):
    monthly, quarterly = small.share(3_500, "monthly"), small.share(3_500, "quarterly")
    assert 0.35 < monthly < quarterly < 0.9
    assert small.share(3_500, "monthly", "cervical") > 0.95
    assert small.share(3_500, "monthly", "mmr-18m") < 0.3


def test_the_page_has_every_figure(small):
    text = page(small, {2.0: small}, seconds=1, when="today")
    assert f"| **{PRODUCT}** | {small.pairs(PRODUCT):,} | 0 |" in text
    assert f"| {LAST} | {small.pairs(LAST):,} | {small.finds(LAST)} |" in text
    assert "| 3,500 | " in text


def test_the_same_seed_is_the_same_stream():
    one, other = (Practice(3_500, random.Random(5)) for _ in range(2))
    for practice in (one, other):
        for _ in range(6):
            practice.month()
    assert one.changes == other.changes
    assert one.states == other.states


def test_registers_keep_their_size_and_level():
    practice = Practice(10_000, random.Random(3))
    for _ in range(36):
        practice.month()
    for rate in RATES:
        state = practice.states[rate.indicator]
        assert len(state) == pytest.approx(rate.share * 10_000, rel=0.25), rate.indicator
        level = sum(pair == MET for pair in state.values()) / len(state)
        assert level == pytest.approx(rate.level, abs=0.08), rate.indicator


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_million_changes(closing):
    outcome = simulate(Plan(changes=command.CHANGES))
    assert outcome.changes >= command.CHANGES
    assert command.holds(outcome)
    wanted = {3_500: (0.48, 0.73), 10_000: (0.74, 0.91), 20_000: (0.88, 0.96)}
    for size, (monthly, quarterly) in wanted.items():
        found = outcome.share(size, "monthly"), outcome.share(size, "quarterly")
        closing.append(
            f"fresh, {size:,} patients: {found[0]:.0%} monthly, {found[1]:.0%} quarterly"
        )
        # the design's own simulation had other rates: a point more or less is chance
        assert found[0] >= monthly - 0.01
        assert found[1] >= quarterly - 0.01
