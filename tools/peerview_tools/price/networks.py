"""Networks of the simulated practices, and the figures that the product's rules derive in them.

In each network every member sees the others' bands or quantiles; in one network one indicator is
shown by name. Who is in which network changes: some join late, some withdraw.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from peerview_share.agreements.level import Level
from peerview_share.attack.log import Derived
from peerview_share.disclosure import identity, membership
from peerview_share.disclosure.membership import Members, Step

NETWORKS: Final = ("east", "middle", "west")
BY_NAME: Final = ("west", "cervical")
"""The network in which members see each other by name, and in what."""

Shown: TypeAlias = Mapping[tuple[str, str], list[int | None]]
"""``{(practice, indicator): for each month, the epoch of the figure shown, None without one}``."""


@dataclass(frozen=True, slots=True)
class Membership:
    """The months in which a practice is in each network: ``{network: (first, end)}``."""

    spans: Mapping[str, tuple[int, int]]

    def at(self, month: int) -> frozenset[str]:
        return frozenset(name for name, (a, b) in self.spans.items() if a <= month < b)


def membership_of(number: int, months: int, rng: random.Random) -> Membership:
    """Every third practice is in two networks; a quarter join late, a fifth withdraw."""
    # sizes go round in threes: so that every network has practices of each
    turn = number // 3
    names = [NETWORKS[turn % 3]] + ([NETWORKS[(turn + 1) % 3]] if number % 3 == 0 else [])
    spans = {}
    for name in names:
        first = rng.randrange(1, months // 2) if rng.random() < 0.25 else 0
        end = rng.randrange(months // 2, months) if rng.random() < 0.2 else months
        spans[name] = (first, end)
    return Membership(spans)


def derived(
    members: Mapping[str, Membership], shown: Shown, indicators: tuple[str, ...], months: int
) -> Iterator[Derived]:
    """Every figure that a viewer was shown, epoch by epoch."""
    for viewer in sorted(members):
        for indicator in indicators:
            yield from _of_viewer(viewer, indicator, members, shown, months)


def _of_viewer(
    viewer: str,
    indicator: str,
    members: Mapping[str, Membership],
    shown: Shown,
    months: int,
) -> Iterator[Derived]:
    last: dict[str, Members] = {}
    sets: dict[str, list[Members]] = defaultdict(list)
    for month in range(months):
        here = members[viewer].at(month)
        together = {
            network: frozenset(
                name for name, found in members.items() if network in found.at(month)
            )
            for network in here
        }
        by_name = together.get(BY_NAME[0], frozenset()) if indicator == BY_NAME[1] else frozenset()
        for network in sorted(here):
            if (network, indicator) == BY_NAME:
                continue
            eligible = identity.contributors(together[network], viewer=viewer, seen_by_name=by_name)
            outcome = membership.decide(
                eligible=eligible,
                with_value=frozenset(n for n in eligible if shown[n, indicator][month] is not None),
                last=last.get(network),
                others=[one for found in sets.values() for one in found],
                seen_by_name=by_name,
            )
            if outcome.step is not Step.FRESH:
                continue
            last[network] = outcome.members
            if outcome.members not in sets[network]:
                sets[network].append(outcome.members)
            yield Derived(
                network,
                viewer,
                indicator,
                month + 1,
                Level.ANONYMOUS,
                frozenset((n, shown[n, indicator][month] or 0) for n in outcome.members),
                known=by_name - {viewer},
            )
