"""Figures of several practices who are not named, as one viewer gets them (rules 7 and 8)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from peerview_common.catalogue import IndicatorInfo
from peerview_share.agreements.index import Grant
from peerview_share.agreements.level import Level
from peerview_share.delivery.sight import Sight
from peerview_share.delivery.views import EpochCells, Told, entries
from peerview_share.disclosure.cell import CellState
from peerview_share.disclosure.identity import (
    Bands,
    Distribution,
    TooFewError,
    bands,
    distribution,
)
from peerview_share.disclosure.membership import stands
from peerview_share.store.audit import Disclosure
from peerview_share.store.derived import DerivedSet


@dataclass(frozen=True, slots=True)
class DerivedCell:
    """A figure of several practices who are not named, as one viewer gets it."""

    network: str
    epoch: int
    info: IndicatorInfo
    level: Level
    state: CellState
    """`value`; `carried-forward` as it was shown last; `suppressed`, with no reason given."""
    figure: Distribution | Bands | None
    cells_epoch: int | None
    """The epoch whose cells are in it."""
    grants: Mapping[str, Grant]
    """Of everybody whose figure may be in it by this network's agreements, whether it is or not.
    For the audit: nobody is named to the viewer."""

    @property
    def key(self) -> str:
        return self.info.id

    def plain(self) -> dict[str, Any]:
        figure = self.figure
        found: dict[str, Any] = {
            "network": self.network,
            "epoch": self.epoch,
            "indicator": self.info.id,
            "level": self.level.name.lower(),
            "state": self.state.value,
            "contributors": figure.contributors if figure else None,
            "older": figure.older if figure else None,
            "unit": self.info.unit,
            "demonstration_only": self.info.demonstration_only,
            "cells_epoch": self.cells_epoch,
        }
        if self.level is Level.ANONYMOUS:
            shown = figure if isinstance(figure, Bands) else None
            return found | {"bands": _bands(shown)}
        quantiles = figure if isinstance(figure, Distribution) else None
        return found | {
            "median": quantiles.median if quantiles else None,
            "quartiles": quantiles.quartiles if quantiles else None,
            "deciles": quantiles.deciles if quantiles else None,
        }

    def encoded(self) -> bytes:
        return msgspec.json.encode(self.plain())


def _bands(figure: Bands | None) -> list[dict[str, Any]] | None:
    if figure is None:
        return None
    edges = (None, *figure.edges, None)
    return [
        {"from": low, "below": high, "practices": count}
        for low, high, count in zip(edges, edges[1:], figure.peers, strict=False)
    ]


def derived_cells(
    seen: Sight,
    epoch: EpochCells,
    sets: Mapping[str, DerivedSet],
    catalogue: Mapping[str, IndicatorInfo],
    earlier: Callable[[int], EpochCells | None],
) -> list[DerivedCell]:
    """The figures of practices who are not named, of the sets that hold at this epoch.

    A set of which anybody may contribute no more is tombstoned: it is not computed without them.
    ``earlier`` gives a published epoch by its number, for figures that are carried on.
    """
    found = []
    for info in catalogue.values():
        chosen = sets.get(info.id)
        grants = seen.unnamed(info.id)
        if not grants and (chosen is None or not chosen.members):
            continue
        found.append(_derived(seen, epoch, grants, chosen, info, earlier))
    return found


def _derived(
    seen: Sight,
    epoch: EpochCells,
    grants: Mapping[str, Grant],
    chosen: DerivedSet | None,
    info: IndicatorInfo,
    earlier: Callable[[int], EpochCells | None],
) -> DerivedCell:
    level = Level[chosen.level.upper()] if chosen else seen.level(info.id) or Level.DISTRIBUTION
    nothing = DerivedCell(
        seen.network, epoch.number, info, level, CellState.SUPPRESSED, None, None, grants
    )
    if chosen is None or not stands(chosen.members, seen.contributors(info.id, level)):
        return nothing
    of = epoch if chosen.cells_epoch is None else earlier(chosen.cells_epoch)
    if of is None:
        return nothing
    cells = {
        member: seen.shown(info, member, of.of(member, info.id), of.choice)
        for member in chosen.members
    }
    derive = bands if level is Level.ANONYMOUS else distribution
    try:
        figure = derive(cells, info, epoch=epoch.number)
    except TooFewError:
        # a figure in it was retracted since
        return nothing
    return DerivedCell(
        seen.network,
        epoch.number,
        info,
        level,
        CellState.VALUE if of is epoch else CellState.CARRIED_FORWARD,
        figure,
        of.number,
        grants,
    )


def derived_disclosures(cells: Iterable[DerivedCell], viewer: str) -> list[Disclosure]:
    """What the audit keeps of derived figures: an entry for each practice that may be in them, and
    each agreement, with the most that it allows.

    Not of those alone who are in a figure: whom a viewer sees by name in other networks is not, so
    that a practice's entries would tell it of agreements that it is no party of.
    """
    return entries(
        (
            Told(subject, cell.network, cell.epoch, cell.info.id, grant, grant.level)
            for cell in cells
            for subject, grant in cell.grants.items()
        ),
        viewer,
    )
