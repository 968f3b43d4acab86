"""Practices, networks, 36 monthly cuts through the product's gate and rules; then the attack."""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from statistics import mean, stdev
from typing import Final, NamedTuple

from peerview_share.attack.cells import CellAttack
from peerview_share.attack.finding import Tried
from peerview_share.attack.log import CellLog
from peerview_share.attack.membership import over_derived
from peerview_share.disclosure.columns import Columns
from peerview_tools.price import variants
from peerview_tools.price.networks import Membership, derived, membership_of
from peerview_tools.price.rates import RATES
from peerview_tools.price.stream import Practice
from peerview_tools.price.variants import DAYS_A_MONTH, Series, Variant

INDICATORS: Final = tuple(rate.indicator for rate in RATES)
MONTHS: Final = 36
SIZES: Final = (3_500, 10_000, 20_000)
CADENCES: Final = {"monthly": 1, "quarterly": 3}
VARIANTS: Final[dict[str, Variant]] = {
    "the product's gate and rules": variants.product,
    "the gate compares with the last release only": variants.last_only,
    "suppressed before the gate, and then not remembered": variants.suppressed_first,
}
PRODUCT: Final = next(iter(VARIANTS))
RETRACTED: Final = 0.005
"""Share of releases that their practice takes back."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``practices`` of each of the sizes, or as many more as ``changes`` need."""

    sizes: tuple[int, ...] = SIZES
    practices: int = 1
    changes: int = 0
    months: int = MONTHS
    churn: float = 1.0
    seed: int = 1
    variants: tuple[str, ...] = tuple(VARIANTS)


class Share(NamedTuple):
    value: float
    error: float
    """The standard error over practices."""


def _share(moves: Iterable[list[bool]]) -> Share:
    """``moves`` of each practice; all have as many."""
    shares = [mean(found) for found in moves]
    return Share(mean(shares), stdev(shares) / math.sqrt(len(shares)) if shares[1:] else math.nan)


@dataclass(slots=True)
class Outcome:
    plan: Plan
    changes: int = 0
    practices: int = 0
    patients: int = 0
    fresh: dict[tuple[int, str, str], list[list[bool]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """``{(size, cadence, indicator): did the cell move, of each practice}``, from the second epoch
    on: the first release of a cell is always fresh."""
    attacks: dict[str, CellAttack] = field(default_factory=dict)

    members: dict[str, Membership] = field(default_factory=dict)
    shown: dict[tuple[str, str], list[int | None]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """What peers see by the product's rules, as `networks.Shown`."""

    def networks(self) -> Tried:
        """The attack on all figures that are derived in the networks."""
        plan = self.plan
        figures = derived(self.members, self.shown, INDICATORS, plan.months)
        return over_derived(figures, self.attacks[PRODUCT].between)

    def share(self, size: int, cadence: str, indicator: str | None = None) -> Share:
        """Share of cells that were fresh, of all indicators or one."""
        return _share(self._moves(size, cadence, indicator))

    def every_third(self, size: int) -> Share:
        """The same in a network that shows every third of monthly releases: cells that moved since
        it showed them last."""
        return _share(
            [any(cells[n : n + 3]) for cells in series for n in range(0, len(cells) - 2, 3)]
            for series in self._series(size, "monthly", None)
        )

    def _moves(self, size: int, cadence: str, indicator: str | None) -> Iterator[list[bool]]:
        for series in self._series(size, cadence, indicator):
            yield [moved for cells in series for moved in cells]

    def _series(
        self, size: int, cadence: str, indicator: str | None
    ) -> Iterator[tuple[list[bool], ...]]:
        """Of each practice, one an indicator."""
        series = [
            of_each
            for (of, how, name), of_each in self.fresh.items()
            if (of, how) == (size, cadence) and indicator in (None, name)
        ]
        return zip(*series, strict=True)

    def finds(self, variant: str) -> int:
        return sum(len(attack.finds) for attack in self.attacks[variant].tried()[:1])

    def pairs(self, variant: str) -> int:
        return self.attacks[variant].tried()[0].pairs


def simulate(plan: Plan, say: Callable[[str], None] = lambda text: None) -> Outcome:
    """Practices in turn, of each size in turn, until there are enough of them and of changes."""
    outcome = Outcome(plan)
    outcome.attacks = {name: CellAttack(1095, DAYS_A_MONTH * plan.months) for name in plan.variants}
    while outcome.practices < plan.practices * len(plan.sizes) or outcome.changes < plan.changes:
        size = plan.sizes[outcome.practices % len(plan.sizes)]
        rng = random.Random(f"{plan.seed}/{outcome.practices}")  # noqa: S311 - a simulation
        _practice(outcome, f"A99{outcome.practices:03}", size, rng)
        outcome.practices += 1
        outcome.patients += size
        say(f"{outcome.practices} practices, {outcome.changes:,} changes")
    return outcome


def _practice(outcome: Outcome, code: str, size: int, rng: random.Random) -> None:
    plan = outcome.plan
    practice = Practice(size, rng, churn=plan.churn)
    member = outcome.members[code] = membership_of(outcome.practices, plan.months, rng)
    monthly = {name: variants.series_of(code, INDICATORS) for name in plan.variants}
    slower = {name: variants.series_of(code, INDICATORS) for name in CADENCES if name != "monthly"}
    for month in range(plan.months):
        if month:
            practice.month()
        snapshots = practice.snapshots()
        for indicator, state in snapshots.items():
            for name, series in monthly.items():
                _cut(VARIANTS[name], series[indicator], state, month)
            for cadence, series in slower.items():
                if month % CADENCES[cadence] == 0:
                    _cut(variants.product, series[indicator], state, month)
            latest = monthly[PRODUCT][indicator].latest
            figure = latest.epoch if latest is not None and latest.figure is not None else None
            outcome.shown[code, indicator].append(figure)
            _take_back([found[indicator] for found in monthly.values()], month, rng)
    outcome.changes += practice.changes
    for name, series in monthly.items():
        outcome.attacks[name].run(_logs(series, member), lambda: None)
    for cadence, series in {"monthly": monthly[PRODUCT], **slower}.items():
        for indicator, found in series.items():
            outcome.fresh[size, cadence, indicator].append(found.fresh[1:])


def _cut(variant: Variant, series: Series, state: Columns, month: int) -> None:
    variant(series, state, month + 1, DAYS_A_MONTH * month)


def _take_back(series: list[Series], month: int, rng: random.Random) -> None:
    """Retract what was released a moment ago: nobody sees it from now on, the gate remembers it."""
    if rng.random() >= RETRACTED:
        return
    for found in series:
        if found.seen and found.seen[-1].epoch == month + 1:
            found.seen[-1] = replace(found.seen[-1], retracted=True)
            found.latest = None


def _logs(series: dict[str, Series], member: Membership) -> Iterator[CellLog]:
    for found in series.values():
        log = found.log()
        yield replace(
            log,
            releases=[
                replace(release, networks=member.at(release.epoch - 1)) for release in log.releases
            ],
        )
