"""What one viewer may see in one network now: grants sorted by how much they allow."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce

from peerview_common.catalogue import IndicatorInfo
from peerview_share.agreements.index import AgreementIndex, Grant
from peerview_share.agreements.level import Level
from peerview_share.disclosure import identity
from peerview_share.disclosure.cell import Cell, CellState
from peerview_share.disclosure.epoch import EVERY_RELEASE, Pace
from peerview_share.disclosure.identity import MIN_CONTRIBUTORS
from peerview_share.disclosure.membership import Members
from peerview_share.disclosure.nested import Choice, shown_under
from peerview_share.disclosure.stricter import stricter


@dataclass(frozen=True, slots=True)
class Sight:
    """Of one viewer in one network, at one moment. Expired grants are not in it."""

    network: str
    viewer: str
    grants: Mapping[str, Mapping[str, Grant]]
    """``{indicator: {subject: grant}}``"""
    named_elsewhere: Mapping[str, Members]
    """``{indicator: practices}`` that the viewer sees by name in any network."""

    def with_past(self, grants: Mapping[str, Mapping[str, Grant]]) -> "Sight":
        """The same with grants of practices that have left; what is granted now comes first."""
        if not grants:
            return self
        both = {
            name: {**grants.get(name, {}), **self.grants.get(name, {})}
            for name in grants.keys() | self.grants.keys()
        }
        return replace(self, grants=both)

    def named(self, indicator: str) -> Mapping[str, Grant]:
        row = self.grants.get(indicator, {})
        return {subject: grant for subject, grant in row.items() if grant.level is Level.NAMED}

    def unnamed(self, indicator: str) -> Mapping[str, Grant]:
        """Of the practices that this network's agreements show, but not by name."""
        row = self.grants.get(indicator, {})
        return {
            subject: grant
            for subject, grant in row.items()
            if Level.NONE < grant.level < Level.NAMED and subject != self.viewer
        }

    def contributors(self, indicator: str, level: Level) -> Members:
        """Whose figures may be in a derived figure of this level (rule 7)."""
        return identity.contributors(
            (name for name, grant in self.unnamed(indicator).items() if level <= grant.level),
            viewer=self.viewer,
            seen_by_name=self.named_elsewhere.get(indicator, frozenset()),
        )

    def level(self, indicator: str) -> Level:
        """That of the derived figure: bands where enough practices allow them, else quantiles.
        `NONE` where nobody contributes."""
        if len(self.contributors(indicator, Level.ANONYMOUS)) >= MIN_CONTRIBUTORS:
            return Level.ANONYMOUS
        anybody = self.contributors(indicator, Level.DISTRIBUTION)
        return Level.DISTRIBUTION if anybody else Level.NONE

    def pace(self, service_lag_days: float) -> Pace:
        """Which releases are shown, and when: the slowest of all that the agreements say.

        An agreement says how long a release rests in all; the service's own preview is part of it.
        """
        conditions = {
            (grant.conditions.every, grant.conditions.lag_days)
            for row in self.grants.values()
            for grant in row.values()
        }
        paces = (
            Pace(every, max(0.0, lag_days - service_lag_days)) for every, lag_days in conditions
        )
        return reduce(Pace.slower, paces, EVERY_RELEASE)

    def shown(self, info: IndicatorInfo, subject: str, cell: Cell, choice: Choice) -> Cell:
        """The released cell as the agreement that grants it asks: by its own stricter figures, and
        of those definition versions alone that it lists. ``choice`` is what it may choose
        from."""
        conditions = self.grants[info.id][subject].conditions
        control = conditions.disclosure_control
        chosen = shown_under(
            cell,
            lambda: choice(subject, info.id),
            min_change=control.min_change,
            min_patients=control.min_patients,
        )
        if not conditions.lists(info.id, chosen.version):
            return Cell(info.id, CellState.NOT_SHARED)
        return stricter(
            chosen,
            info,
            min_denominator=control.min_denominator,
            min_count=control.min_count,
            extremes_from=control.extremes_from,
            rounding_base=control.rounding_base,
        )


def sight(index: AgreementIndex, network: str, viewer: str, now: int) -> Sight:
    return Sight(
        network,
        viewer,
        index.of(network, viewer, now),
        _named_anywhere(index, viewer, now),
    )


def _named_anywhere(index: AgreementIndex, viewer: str, now: int) -> Mapping[str, Members]:
    found: dict[str, set[str]] = {}
    for network in index.networks_of(viewer):
        for indicator, row in index.of(network, viewer, now).items():
            named = {subject for subject, grant in row.items() if grant.level is Level.NAMED}
            found.setdefault(indicator, set()).update(named)
    return {indicator: frozenset(named) for indicator, named in found.items()}
