"""What one viewer sees of one network at one epoch: a pure function of cells and grants.

Its only inputs are released cells and the agreement index. REST, topics and pages all show these.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from peerview_common.catalogue import IndicatorInfo
from peerview_common.days import day_text
from peerview_share.agreements.index import Grant
from peerview_share.agreements.level import Level
from peerview_share.delivery.sight import Sight
from peerview_share.disclosure.cell import Cell, CellState
from peerview_share.disclosure.nested import Choice, nothing_else
from peerview_share.store.audit import Disclosure


@dataclass(frozen=True, slots=True)
class EpochCells:
    """A published epoch. Immutable."""

    number: int
    day: int
    published_at: int
    cells: Mapping[str, Mapping[str, Cell]]
    """``{practice: {indicator: cell}}``"""
    choice: Choice = field(default=nothing_else, repr=False, compare=False)
    """What stricter agreements choose from."""
    retractions: int = 0
    """How many releases had been taken back when it was read."""

    def of(self, practice: str, indicator: str) -> Cell:
        found = self.cells.get(practice, {}).get(indicator)
        return found or Cell(indicator, CellState.NOT_SUBMITTED)


@dataclass(frozen=True, slots=True)
class PeerCell:
    """One subject's cell as one viewer gets it, with the agreement that allows it."""

    network: str
    epoch: int
    subject: str
    cell: Cell
    grant: Grant
    unit: str
    demonstration_only: bool

    @property
    def key(self) -> str:
        return f"{self.cell.indicator}/{self.subject}"

    def plain(self) -> dict[str, Any]:
        cell, figure = self.cell, self.cell.figure
        return {
            "network": self.network,
            "epoch": self.epoch,
            "indicator": cell.indicator,
            "subject": self.subject,
            "state": cell.state.value,
            "numerator": figure.numerator if figure else None,
            "denominator": figure.denominator if figure else None,
            "value": figure.value if figure else None,
            "unit": self.unit,
            "demonstration_only": self.demonstration_only,
            "version": cell.version or None,
            "as_of": _day(cell.as_of),
            "released": _day(cell.released),
            "released_epoch": cell.epoch,
            "agreement": {"id": self.grant.agreement, "version": self.grant.version},
        }

    def encoded(self) -> bytes:
        """The JSON that REST and the topic give alike, to the byte."""
        return msgspec.json.encode(self.plain())


def named_cells(
    seen: Sight, epoch: EpochCells, catalogue: Mapping[str, IndicatorInfo]
) -> list[PeerCell]:
    """All cells that the viewer may see by name, in the catalogue's order, then by subject.

    Of a practice that the viewer sees by name in one indicator, the others that their agreements
    list and that it keeps to itself are `not-shared`.
    """
    by_name: dict[str, Grant] = {}
    for indicator in seen.grants:
        by_name |= seen.named(indicator)
    found = []
    for info in catalogue.values():
        row = seen.grants.get(info.id, {})
        if not row:
            continue
        for subject in sorted(by_name):
            grant = row.get(subject)
            if grant is None:
                cell = Cell(info.id, CellState.NOT_SHARED)
                grant = by_name[subject]
            elif grant.level is Level.NAMED:
                cell = seen.shown(info, subject, epoch.of(subject, info.id), epoch.choice)
            else:
                continue
            found.append(
                PeerCell(
                    *(seen.network, epoch.number, subject, cell, grant),
                    info.unit,
                    info.demonstration_only,
                )
            )
    return found


def disclosures(cells: Iterable[PeerCell], viewer: str) -> list[Disclosure]:
    """What the audit keeps of showing these cells: one entry a subject and agreement."""
    return entries(
        (
            Told(
                cell.subject,
                cell.network,
                cell.epoch,
                cell.cell.indicator,
                cell.grant,
                # of what is not shared, the viewer learns only that
                Level.NONE if cell.cell.state is CellState.NOT_SHARED else cell.grant.level,
            )
            for cell in cells
        ),
        viewer,
    )


class Told(NamedTuple):
    """What a viewer learns of one subject's indicator, and by what right."""

    subject: str
    network: str
    epoch: int
    indicator: str
    grant: Grant
    level: Level


def entries(told: Iterable[Told], viewer: str) -> list[Disclosure]:
    """One entry of the audit for each subject, agreement and level. All are of one epoch of one
    network."""
    grouped: dict[tuple[str, str, int, str], list[Told]] = {}
    for each in told:
        key = each.subject, each.grant.agreement, each.grant.version, each.level.name.lower()
        grouped.setdefault(key, []).append(each)
    return [
        Disclosure(
            subject,
            viewer,
            found[0].network,
            found[0].epoch,
            tuple(each.indicator for each in found),
            agreement,
            version,
            level,
        )
        for (subject, agreement, version, level), found in sorted(grouped.items())
    ]


def _day(day: int | None) -> str | None:
    return None if day is None else day_text(day)
