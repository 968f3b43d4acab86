"""The simulation of releases: a small one of each variant by default, the whole one when there is
time."""

import random
from collections import Counter
from statistics import mean

import pytest

from peerview_common.catalogue import catalogue
from peerview_share.attack.finding import Kind
from peerview_share.attack.linkage import LIMIT, name_bands
from peerview_share.attack.log import Banded
from peerview_share.disclosure import membership
from peerview_share.disclosure.gate import Obstacle, compare
from peerview_share.disclosure.nested import reach
from peerview_share.disclosure.steps import STEPS
from peerview_tools.price import naming
from peerview_tools.price import run as command
from peerview_tools.price.figures import figures
from peerview_tools.price.page import page
from peerview_tools.price.rates import RATES
from peerview_tools.price.simulation import INDICATORS, PRODUCT, VARIANTS, Plan, simulate
from peerview_tools.price.stream import MET, Practice

LAST, FIRST = (name for name in VARIANTS if name != PRODUCT)


@pytest.fixture(scope="module")
def small():
    return simulate(Plan(sizes=(3_500,), practices=2, seed=1))


def test_behind_the_products_gate_and_rules_nothing_is_found(small):
    assert small.pairs(PRODUCT) > 2_000
    assert small.finds(PRODUCT) == 0
    (small_figures,) = (tried for tried in small.attacks[PRODUCT].tried()[-1:])
    assert small_figures.pairs > 200
    assert small_figures.finds == ()


def test_the_attacker_finds_what_weaker_rules_let_through(small):
    assert small.finds(LAST) > 0
    assert small.finds(FIRST) > 0


def test_small_registers_wait_and_waiting_is_shorter_by_quarters(small):
    monthly = small.share(3_500, "monthly").value
    quarterly = small.share(3_500, "quarterly").value
    assert 0.35 < monthly < quarterly < 0.9
    assert small.share(3_500, "monthly", "cervical").value > 0.95
    assert small.share(3_500, "monthly", "mmr-18m").value < 0.3


def test_the_page_has_every_figure(small):
    named = naming.rows(draws=3)
    text = page(small, {2.0: small}, small.networks(), named, 0.07, seconds=1, when="today")
    assert f"| **{PRODUCT}** | {small.pairs(PRODUCT):,} | 0 |" in text
    assert f"| {LAST} | {small.pairs(LAST):,} | {small.finds(LAST)} |" in text
    assert "| 3,500 | " in text
    assert all(len(line) <= 100 for line in text.splitlines() if not line.startswith("|"))
    assert f"| **all indicators** | **{naming.over_all(named, 20, 'anonymous'):.2f}** |" in text


@pytest.fixture(scope="module")
def networks():
    """Many practices, few months: for the figures that are derived from several."""
    return simulate(Plan(sizes=(1_000,), practices=42, months=10, variants=(PRODUCT,)))


def test_figures_derived_in_overlapping_networks_hold_too(networks):
    tried = networks.networks()
    assert tried.pairs > 1_000
    assert tried.finds == ()


def test_without_the_rule_of_membership_the_attacker_finds_practices(networks, monkeypatch):
    monkeypatch.setattr(membership, "MIN_CHANGE", 1)
    assert {find.kind for find in networks.networks().finds} == {Kind.MEMBERS}


@pytest.mark.parametrize("size", naming.SIZES)
@pytest.mark.parametrize("mode", naming.MODES)
def test_an_outsider_names_hardly_more_than_chance(size, mode):
    # the whole number of draws is 200: these are enough to be within 0.1 of it
    assert naming.over_all(naming.rows(draws=30, sizes=(size,)), size, mode) <= LIMIT + 0.1


@pytest.mark.long
def test_over_all_draws_an_outsider_stays_within_the_limit(closing):
    named = naming.rows()
    for size in naming.SIZES:
        for mode in naming.MODES:
            right = naming.over_all(named, size, mode)
            closing.append(f"named rightly, {size} contributors, {mode}: {right:.2f} times chance")
            assert right <= LIMIT


def test_the_outsider_is_worth_what_was_measured_on_public_files():
    assert naming.exact(draws=30) == pytest.approx(0.07, abs=0.007)


def test_the_outsider_names_many_where_figures_are_shown_exactly():
    """A band for each figure would be no protection: the attack must say so."""
    info = catalogue()["cervical"]
    found = figures(info, 60, random.Random(1))
    shown = {name: cell.figure.value for name, cell in found.cells.items()}
    edges = tuple(sorted(set(shown.values())))[1:]
    bands = [0] * (len(edges) + 1)
    for value in shown.values():
        bands[sum(value >= edge for edge in edges)] += 1
    view = Banded("", info.id, found.last_year, shown, bands=tuple(bands), edges=edges)
    assert name_bands(view).right > LIMIT


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
    derived = outcome.networks()
    assert derived.finds == ()
    closing.append(f"pairs tried: {outcome.pairs(PRODUCT):,} of cells, {derived.pairs:,} derived")
    wanted = {3_500: (0.48, 0.73), 10_000: (0.74, 0.91), 20_000: (0.88, 0.96)}
    for size, (monthly, quarterly) in wanted.items():
        found = outcome.share(size, "monthly").value, outcome.share(size, "quarterly").value
        closing.append(
            f"fresh, {size:,} patients: {found[0]:.0%} monthly, {found[1]:.0%} quarterly"
        )
        # of some 1,500 cells by quarters, so a standard error of over a point
        assert found[0] >= monthly - 0.02
        assert found[1] >= quarterly - 0.02


def fresh_by_step(size, seed):
    """``{step: (share of cells that move nested, share apart)}`` of a practice's 12 releases a
    quarter apart, from the second on; apart, each step's series knows of no other."""
    practice = Practice(size, random.Random(seed), churn=1.0)
    released = {name: [] for name in INDICATORS}
    nested, apart = Counter(), Counter()
    for month in range(36):
        if month:
            practice.month()
        if month % 3:
            continue
        for name, state in practice.snapshots().items():
            before = released[name]
            found = compare(state, [each for each, _, _ in before], catalogue()[name].scale)
            if isinstance(found, Obstacle):
                continue
            reached = reach(found, [each for _, each, _ in before])
            alone = {
                least
                for least in STEPS
                if all(
                    d.least >= least
                    for d, (_, _, its) in zip(found, before, strict=True)
                    if least in its
                )
            }
            before.append((state, reached, alone))
            if month:
                nested.update(least for least in STEPS if reached >= least)
                apart.update(alone)
    cells = 11 * len(INDICATORS)
    return {least: (nested[least] / cells, apart[least] / cells) for least in STEPS}


@pytest.mark.long
@pytest.mark.parametrize(("size", "practices"), [(3_500, 6), (10_000, 4)])
def test_that_stricter_series_lie_within_each_other_costs_little(size, practices, closing):
    found = [fresh_by_step(size, f"{size}/{n}") for n in range(practices)]
    for least in STEPS:
        nested, apart = (mean(each[least][n] for each in found) for n in (0, 1))
        closing.append(
            f"quarterly, {size} patients, minChange {least}: {nested:.0%} of cells move, "
            f"{apart:.0%} if each series were decided apart"
        )
        assert nested >= apart - 0.03
    assert mean(each[8][0] for each in found) > 0.5
