"""Who is who? An outsider who knows every practice's true figures of a year ago tries to name.

A view of n contributors that names nobody still shows something: a band for each of them, or a few
values of their distribution. The outsider puts a name to all of it. Whoever guesses a name for each
of n at random is right once; what is measured is how many are right, so in times of chance.

A distribution's values are shown whoever holds them, and last year's order alone says who is likely
to be in the middle: `Naming.without` is how much of the naming needs no view at all.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import mean, stdev
from typing import Final

from peerview_share.attack.finding import Find, Kind, Tried
from peerview_share.attack.log import Banded

LIMIT: Final = 2.5
"""More than so many times chance is a find."""
MIN_VIEWS: Final = 10
"""Networks' indicators below which a mean says nothing."""
SURE: Final = 1.645
"""Standard errors of 95% certainty on one side."""


@dataclass(frozen=True, slots=True)
class Naming:
    """How one view was named."""

    contributors: int
    records: int
    """What there was to name: a band of each contributor, or the values of a distribution."""
    right: float
    """How many contributors are expected to be named rightly. By chance it is one of them all, so
    this is in times of chance too."""
    without: float
    """The same by last year's order alone, without the view; of a distribution only."""

    @property
    def share(self) -> float:
        """Of all contributors, those named rightly."""
        return self.right / self.contributors


def name_bands(view: Banded) -> Naming | None:
    """Name the peers in each band of an anonymous view.

    The best that last year's figures allow: the practices in last year's order fill the bands in
    order, as many as each holds. Within a band all look the same, so of b peers and b guesses with
    h of them truly in the band, h of b guesses stand in the right band and each hits the right peer
    with 1 in b: h / b are expected to be right.
    """
    known = _ordered(view)
    if len(known) < 2 or sum(view.bands) != len(known):
        return None
    right, start = 0.0, 0
    for number, size in enumerate(view.bands):
        guessed = known[start : start + size]
        start += size
        hits = sum(_band(view.now[practice], view.edges) == number for practice in guessed)
        right += hits / size if size else 0.0
    return Naming(len(known), len(known), right, 0.0)


def name_quantiles(view: Banded) -> Naming | None:
    """Name the practice at each value of a distribution, by rank or by the nearest figure.

    Right is the practice whose figure is the nearest to the value shown, whichever of the two ways
    of guessing does better over all values: an outsider may have found out which is.
    """
    known = _ordered(view)
    if len(known) < 2 or not view.quantiles:
        return None
    by_rank = by_value = 0.0
    # where two shares show the same value, there is one value to name
    shown = {value: share for share, value in reversed(view.quantiles)}
    for value, share in shown.items():
        holders = _nearest(view.now, value)
        rank = known[round(share * (len(known) - 1))]
        by_rank += (rank in holders) / len(holders)
        near = _nearest(view.last_year, value)
        by_value += len(near & holders) / (len(near) * len(holders))
    return Naming(len(known), len(shown), max(by_rank, by_value), by_rank)


def _ordered(view: Banded) -> list[str]:
    """Contributors by last year's figures."""
    return sorted(
        view.now.keys() & view.last_year.keys(), key=lambda name: (view.last_year[name], name)
    )


def _band(value: float, edges: Sequence[float]) -> int:
    return sum(value >= edge for edge in edges)


def _nearest(figures: Mapping[str, float], value: float) -> set[str]:
    least = min(abs(figure - value) for figure in figures.values())
    return {name for name, figure in figures.items() if abs(figure - value) == least}


def linkage(views: Iterable[Banded]) -> Tried:
    """All views that name nobody, each network's indicator once, whoever looks at it."""
    tried = 0
    ratios: dict[tuple[str, str], list[float]] = defaultdict(list)
    for view in views:
        found = name_bands(view) if view.bands else name_quantiles(view)
        if found is not None:
            tried += 1
            ratios[view.network, view.indicator].append(found.right)
    means = [mean(found) for found in ratios.values()]
    what = (
        "an outsider who knows every practice's true figures of about a year before tried to name "
        "the practices behind anonymous views and distributions"
    )
    over = f"{tried:,} views of {len(means):,} networks' indicators"
    if len(means) < MIN_VIEWS:
        sure = "too few views to say" if means else "there is no such view with a year before it"
        return Tried("linkage", what, over, tried, (), sure)
    middle, error = mean(means), stdev(means) / sqrt(len(means))
    sure = (
        f"an estimate: {middle:.1f} times what chance names, standard error {error:.1f}; the limit "
        f"is {LIMIT} times"
    )
    finds = () if middle - SURE * error <= LIMIT else (_named(middle, error),)
    return Tried("linkage", what, over, tried, finds, sure)


def _named(middle: float, error: float) -> Find:
    return Find(
        Kind.LINKAGE,
        f"Practices can be named from views that name nobody {middle:.1f} times as often as by "
        f"chance (standard error {error:.1f}; at most {LIMIT} times is accepted).",
        certain=False,
    )
