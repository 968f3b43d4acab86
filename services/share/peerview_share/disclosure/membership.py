"""Rule 8: a derived figure changes its contributors by threes, or not at all.

The same figure with and without one practice gives that practice's value by subtraction. So the set
of contributors changes only at an epoch at which at least three members differ from the set shown
last; here from *every* set that the viewer was shown for the indicator, in whatever network.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from peerview_share.disclosure.identity import MIN_CONTRIBUTORS

MIN_CHANGE: Final = 3

Members: TypeAlias = frozenset[str]


class Step(StrEnum):
    """What an epoch does to a derived figure."""

    FRESH = "fresh"
    """The members' cells of this epoch."""
    CARRIED = "carried"
    """The figure shown last stays, with its date: a member has no value, and too few changed."""
    TOMBSTONED = "tombstoned"
    """A member is gone from it, and too few changed: nothing is shown, and nothing recomputed."""
    TOO_FEW = "too-few"
    """Nothing was shown yet, and nothing may be."""


@dataclass(frozen=True, slots=True)
class Outcome:
    step: Step
    members: Members = frozenset()
    """Whose cells are in the figure; empty where none is shown."""


def decide(
    *,
    eligible: Members,
    with_value: Members,
    last: Members | None,
    others: Iterable[Members] = (),
    seen_by_name: Members = frozenset(),
) -> Outcome:
    """The set of contributors at an epoch.

    ``eligible`` may contribute now, ``with_value`` also have a figure; ``last`` is the set shown
    last in this place, ``others`` are all sets shown to the same viewer for the indicator, here and
    in other networks. A change of those whom the viewer sees by name counts for nothing: the viewer
    can take them off, and is left with the others.
    """
    known = [*others, *([last] if last else [])]
    candidate = with_value & eligible
    if len(candidate) >= MIN_CONTRIBUTORS and all(
        apart(candidate - seen_by_name, shown - seen_by_name) for shown in known
    ):
        return Outcome(Step.FRESH, candidate)
    if not last:
        return Outcome(Step.TOO_FEW)
    if not last <= eligible:
        return Outcome(Step.TOMBSTONED)
    if last <= with_value:
        return Outcome(Step.FRESH, last)
    return Outcome(Step.CARRIED, last)


def apart(one: Members, two: Members) -> bool:
    """No difference, or one of at least three members."""
    changed = len(one ^ two)
    return changed == 0 or changed >= MIN_CHANGE


def stands(members: Members, eligible: Members) -> bool:
    """At every read: a figure is shown while all in it may contribute. Else it is tombstoned."""
    return bool(members) and members <= eligible
