"""One viewer's whole view of one network: what REST, topics and pages show alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from peerview_common.catalogue import IndicatorInfo
from peerview_share.agreements.index import AgreementIndex
from peerview_share.agreements.level import Level
from peerview_share.delivery.derived import DerivedCell, derived_cells, derived_disclosures
from peerview_share.delivery.published import PublishedEpochs
from peerview_share.delivery.sight import Sight, sight
from peerview_share.delivery.views import EpochCells, PeerCell, disclosures, named_cells
from peerview_share.disclosure.derivation import Total, total
from peerview_share.disclosure.epoch import Pace
from peerview_share.store import derived as store
from peerview_share.store.audit import Disclosure
from peerview_share.store.database import Database


@dataclass(frozen=True, slots=True)
class View:
    """Empty without an epoch: none that this network shows is published yet."""

    seen: Sight
    epoch: EpochCells | None
    cells: list[PeerCell] = field(default_factory=list)
    derived: list[DerivedCell] = field(default_factory=list)

    def of(self, indicator: str) -> "View":
        """The same of one indicator."""
        return View(
            self.seen,
            self.epoch,
            [cell for cell in self.cells if cell.cell.indicator == indicator],
            [cell for cell in self.derived if cell.info.id == indicator],
        )

    def totals(self, catalogue: Mapping[str, IndicatorInfo]) -> dict[str, Total]:
        """Of the cells seen by name, for each indicator; those without a figure are left out."""
        by_indicator: dict[str, list[PeerCell]] = {}
        for cell in self.cells:
            by_indicator.setdefault(cell.cell.indicator, []).append(cell)
        return {
            name: total((item.cell for item in found), catalogue[name])
            for name, found in by_indicator.items()
        }

    def disclosures(self) -> list[Disclosure]:
        viewer = self.seen.viewer
        return [*disclosures(self.cells, viewer), *derived_disclosures(self.derived, viewer)]


class Views:
    """``lag_days`` is the preview that every release has."""

    def __init__(
        self,
        database: Database,
        catalogue: Mapping[str, IndicatorInfo],
        published: PublishedEpochs,
        lag_days: float,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._published = published
        self._lag_days = lag_days

    def of(
        self,
        index: AgreementIndex,
        network: str,
        viewer: str,
        *,
        now: int,
        number: int | None = None,
    ) -> View:
        """The newest epoch that the network shows, or that of a number."""
        seen = sight(index, network, viewer, now)
        epoch = self.epoch(self.pace(seen), now, number)
        if epoch is None:
            return View(seen, None)
        newest = epoch if number is None else self.epoch(self.pace(seen), now)
        past = seen
        if newest is not None and epoch.number < newest.number:
            # a withdrawal holds at once; only views of earlier epochs may keep what they had
            past = seen.with_past(index.past(network, viewer, epoch.published_at, now))
        return View(
            seen,
            epoch,
            named_cells(past, epoch, self._catalogue),
            self._derived(seen, epoch),
        )

    def pace(self, seen: Sight) -> Pace:
        return seen.pace(self._lag_days)

    def epoch(self, pace: Pace, now: int, number: int | None = None) -> EpochCells | None:
        return self._published.get(number, pace=pace, now=now)

    def _derived(self, seen: Sight, epoch: EpochCells) -> list[DerivedCell]:
        unnamed = any(
            grant.level < Level.NAMED for row in seen.grants.values() for grant in row.values()
        )
        if not unnamed:
            return []
        with self._database.read() as connection:
            sets = store.in_force(connection, seen.network, seen.viewer, epoch.number)
        return derived_cells(seen, epoch, sets, self._catalogue, self._published.get)
