"""Figures derived from several practices: can one be taken from another?

A viewer who has two figures of one indicator (of one network at two epochs, or of two networks
that share members) can subtract. What is left must not be a few patients, and must not be one or
two practices.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Final, TypeAlias

from peerview_share.attack.differencing import ENOUGH, FEW, Counts
from peerview_share.attack.finding import Find, Kind, Tried
from peerview_share.attack.log import Derived, Part

MIN_CHANGED: Final = 3
"""Fewer practices than this changed between two figures: what is left is theirs."""
MIN_REMAINING: Final = 10
"""The fewest contributors of any view that names nobody."""

Between: TypeAlias = Mapping[tuple[str, str, int, int], Counts]
"""``{(practice, indicator, earlier epoch, later epoch): patients who differ}``, counts from
`ENOUGH` on being told as `ENOUGH`."""


def over_derived(figures: Iterable[Derived], between: Between) -> Tried:
    """Every pair of derived figures that one viewer had of one indicator, in all networks."""
    by_viewer: dict[tuple[str, str], list[Derived]] = defaultdict(list)
    count = 0
    for figure in figures:
        by_viewer[figure.viewer, figure.indicator].append(figure)
        count += 1
    finds: list[Find] = []
    pairs = 0
    for found in by_viewer.values():
        finds += [find for figure in found for find in _remainder(figure)]
        for one, other in combinations(_distinct(found), 2):
            pairs += 1
            finds += _difference(one, other, between)
    networks = len({figure.network for found in by_viewer.values() for figure in found})
    return Tried(
        "differencing of derived figures",
        "every figure that was derived from several practices was subtracted from every other that "
        "the same viewer could see of the indicator, in the same network and in overlapping ones, "
        "before and after practices joined or withdrew",
        f"{count:,} derived figures of {len(by_viewer):,} viewers' indicators in "
        f"{networks:,} networks",
        pairs,
        tuple(finds),
        "certain: counted from the contributors and the patients themselves",
    )


def _distinct(figures: Iterable[Derived]) -> list[Derived]:
    """The first of each that say the same: carried forward, they tell nothing new."""
    first: dict[tuple[str, frozenset[Part]], Derived] = {}
    for figure in sorted(figures, key=lambda figure: (figure.epoch, figure.network)):
        first.setdefault((figure.network, figure.parts), figure)
    return list(first.values())  # by epoch


def _difference(one: Derived, other: Derived, between: Between) -> Iterator[Find]:
    """``one`` is not later than ``other``."""
    changed = one.parts ^ other.parts
    if not changed:
        return
    mine, theirs = _epochs(one.parts & changed), _epochs(other.parts & changed)
    alone = mine.keys() ^ theirs.keys()
    # whoever is seen by name at the later figure's time can be looked up at the earlier one's too
    unknown = (mine.keys() - theirs.keys() - one.known - other.known) | (
        theirs.keys() - mine.keys() - other.known
    )
    if 0 < len(unknown) < MIN_CHANGED:
        yield _members(one, other, sorted(unknown))
    if alone:
        return  # whole practices differ: no few patients
    totals = [0, 0, 0]
    for practice in mine:
        first, second = sorted((mine[practice], theirs[practice]))
        counts = between.get((practice, one.indicator, first, second), (ENOUGH,) * 3)
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
    if any(total in FEW for total in totals):
        yield Find(
            Kind.TOTALS,
            f"{one.indicator}, viewer {one.viewer}: the figures of {one.network} at epoch "
            f"{one.epoch} and of {other.network} at epoch {other.epoch} differ by "
            f"{min(total for total in totals if total in FEW)} patients.",
            network=one.network,
            viewer=one.viewer,
            indicator=one.indicator,
            epochs=(one.epoch, other.epoch),
        )


def _members(one: Derived, other: Derived, unknown: list[str]) -> Find:
    where = (
        f"in {one.network} between epoch {one.epoch} and epoch {other.epoch}"
        if one.network == other.network
        else f"between {one.network} at epoch {one.epoch} and {other.network} at epoch "
        f"{other.epoch}"
    )
    return Find(
        Kind.MEMBERS,
        f"{one.indicator}, viewer {one.viewer}: {where} the contributors differ by "
        f"{' and '.join(unknown)} alone, so the two figures tell about "
        f"{'that practice' if len(unknown) == 1 else 'those two practices'}.",
        practice=unknown[0],
        network=one.network,
        viewer=one.viewer,
        indicator=one.indicator,
        epochs=(one.epoch, other.epoch),
    )


def _remainder(figure: Derived) -> Iterator[Find]:
    practices = {practice for practice, _ in figure.parts}
    left = practices - figure.known - {figure.viewer}
    if left != practices and len(left) < MIN_REMAINING:
        yield Find(
            Kind.REMAINDER,
            f"{figure.indicator}, viewer {figure.viewer}: of the {len(practices)} practices behind "
            f"the figure of {figure.network} at epoch {figure.epoch}, the viewer knows "
            f"{len(practices) - len(left)} by name; less these it is a figure of {len(left)}.",
            network=figure.network,
            viewer=figure.viewer,
            indicator=figure.indicator,
            epochs=(figure.epoch,),
        )


def _epochs(parts: Iterable[Part]) -> dict[str, int]:
    return dict(parts)
