"""The release log as plain data: all that peers were ever shown, and the patients behind it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from peerview_share.agreements.level import Level
from peerview_share.disclosure.columns import Contributed
from peerview_share.disclosure.identity import Distribution

Part: TypeAlias = tuple[str, int]
"""A practice, and the epoch at which what is shown of it was released."""


@dataclass(frozen=True, slots=True)
class Release:
    """One version of a cell that peers could see."""

    epoch: int
    day: int
    """The as-of day, in days since 1970-01-01."""
    contributions: Contributed | None
    """The patients behind it; None where their snapshot is not there any more."""
    shown: bool = True
    """With a figure; else peers saw that it is suppressed, which tells something too."""
    retracted: bool = False
    """Taken back later. It was seen all the same, so it is tried like any other."""
    networks: frozenset[str] = frozenset()
    """Where peers could see it."""
    reach: int = 8
    """The largest `minChange` under which it is shown, of those that agreements ask for."""


@dataclass(frozen=True, slots=True)
class CellLog:
    """Every release of one practice's indicator, oldest first."""

    practice: str
    indicator: str
    releases: Sequence[Release]
    scale: int = 1
    """What one whole of the denominator is worth in the numerator."""
    rate: bool = False
    """Of a rate, the complement of a size is the patients without a numerator."""
    inherited: Iterable[Release] = ()
    """Of a successor: what peers can add up from its predecessors' releases. Gone through once."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A figure derived from several practices' cells, as one viewer saw it."""

    network: str
    viewer: str
    indicator: str
    epoch: int
    level: Level
    parts: frozenset[Part]
    """What it was derived from."""
    known: frozenset[str] = frozenset()
    """Practices whose cells of this indicator the viewer sees by name, in whatever network."""
    after_withdrawal: bool = False
    """Since the figure before it a party withdrew."""


@dataclass(frozen=True, slots=True)
class Banded:
    """What an outsider can know of an anonymous view or a distribution, and what is true.

    ``bands`` are how many contributors each value band holds, lowest first; ``quantiles`` are
    ``(share, value)`` pairs of a distribution. One of them is there.
    """

    network: str
    indicator: str
    last_year: Mapping[str, float]
    """``{practice: its true figure of about a year before}``"""
    now: Mapping[str, float]
    """``{practice: the figure that was shown}``: what the outsider tries to find."""
    bands: tuple[int, ...] = ()
    edges: tuple[float, ...] = ()
    quantiles: tuple[tuple[float, float], ...] = ()


def quantiles(found: Distribution) -> tuple[tuple[float, float], ...]:
    """``(share, value)`` of all that a distribution shows."""
    if found.deciles is not None:
        values = [(n / 10, value) for n, value in enumerate(found.deciles, 1)]
    else:
        values = [(0.5, found.median)]
    if found.quartiles is not None:
        values += [(0.25, found.quartiles[0]), (0.75, found.quartiles[1])]
    return tuple(sorted(values))


@dataclass(frozen=True, slots=True)
class ReleaseLog:
    """``cells`` may be read as it goes: it is gone through once."""

    cells: Iterable[CellLog]
    derived: Callable[[], Iterable[Derived]] = field(default=tuple)
    views: Callable[[], Iterable[Banded]] = field(default=tuple)
    memory_days: int = 1095
    """How long releases are held against each other: 36 months."""
    newest_day: int = 0
    """The as-of day of the newest epoch."""
