"""What was shown of practices who are not named: the sets behind it, and what an outsider knew."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from sqlalchemy import Connection, func, select

from peerview_common.catalogue import IndicatorInfo
from peerview_share.agreements.level import Level
from peerview_share.attack.log import Banded, Derived, quantiles
from peerview_share.disclosure import identity
from peerview_share.disclosure.cell import Cell
from peerview_share.disclosure.columns import columns
from peerview_share.disclosure.gate import K
from peerview_share.disclosure.membership import Step
from peerview_share.store import derived, epochs, kept, schema
from peerview_share.store.derived import DerivedSet

Cells: TypeAlias = Mapping[str, Mapping[str, Cell]]
"""``{practice: {indicator: cell}}``"""

A_YEAR: Final = 330
"""Days before which an outsider's figures are: about a year."""
NAMED: Final = "named"


class UnnamedLog:
    def __init__(self, connection: Connection, catalogue: Mapping[str, IndicatorInfo]) -> None:
        self._connection = connection
        self._catalogue = catalogue
        table = schema.epochs
        rows = connection.execute(
            select(table.c.number, table.c.day)
            .where(table.c.published_at.is_not(None))
            .order_by(table.c.number)
        )
        self._days = {row.number: row.day for row in rows}
        self._released: dict[int, dict[tuple[str, str], int]] = {}
        self._truth: dict[tuple[str, str, int], float | None] = {}

    def derived(self) -> Iterator[Derived]:
        """Each figure at each epoch at which its set held; those carried on tell nothing new."""
        known = _named(self._connection)
        for (viewer, indicator), found in derived.history(self._connection).items():
            places: dict[str, list[DerivedSet]] = defaultdict(list)
            for item in found:
                places[item.network].append(item)
            for network, sets in places.items():
                for chosen, number in self._in_force(sets):
                    parts = self._parts(chosen, number)
                    if chosen.step is Step.FRESH and parts:
                        yield Derived(
                            network,
                            viewer,
                            indicator,
                            number,
                            Level[chosen.level.upper()],
                            parts,
                            frozenset(known.get((viewer, indicator, number), ())),
                        )

    def views(self) -> Iterator[Banded]:
        """Those of the newest epoch that has another about a year before it."""
        newest = max(self._days, default=0)
        before = (
            [n for n, day in self._days.items() if self._days[newest] - day >= A_YEAR]
            if (newest)
            else []
        )
        if not before:
            return
        now, then = (epochs.cells(self._connection, n) for n in (newest, before[-1]))
        for (_, indicator), found in derived.history(self._connection).items():
            info = self._catalogue.get(indicator)
            last: dict[str, DerivedSet] = {item.network: item for item in found}
            for item in last.values():
                if info is not None and item.step is Step.FRESH and item.members:
                    view = self._view(item, info, now, then)
                    if view is not None:
                        yield view

    def _in_force(self, sets: Sequence[DerivedSet]) -> Iterator[tuple[DerivedSet, int]]:
        for number in self._days:
            held = [item for item in sets if item.epoch <= number]
            if held:
                yield held[-1], number

    def _parts(self, chosen: DerivedSet, number: int) -> frozenset[tuple[str, int]]:
        if number not in self._released:
            self._released[number] = _released(self._connection, number)
        released = self._released[number]
        return frozenset(
            (member, released[member, chosen.indicator])
            for member in chosen.members
            if (member, chosen.indicator) in released
        )

    def _view(
        self, chosen: DerivedSet, info: IndicatorInfo, now: Cells, then: Cells
    ) -> Banded | None:
        contributors = {
            member: cell
            for member in chosen.members
            if (cell := now.get(member, {}).get(info.id)) is not None and cell.figure
        }
        last_year = {}
        for member in contributors:
            cell = then.get(member, {}).get(info.id)
            true = None if cell is None else self._true(member, info, cell.epoch)
            if true is not None:
                last_year[member] = true
        shown = {name: cell.figure.value for name, cell in contributors.items() if cell.figure}
        if len(last_year) < len(shown):
            return None
        try:
            if chosen.level == Level.ANONYMOUS.name.lower():
                bands = identity.bands(contributors, info, epoch=0)
                return Banded(
                    chosen.network, info.id, last_year, shown, bands=bands.peers, edges=bands.edges
                )
            values = quantiles(identity.distribution(contributors, info, epoch=0))
        except identity.TooFewError:
            return None
        return Banded(chosen.network, info.id, last_year, shown, quantiles=values)

    def _true(self, practice: str, info: IndicatorInfo, number: int | None) -> float | None:
        """The exact figure that was released at an epoch."""
        if number is None:
            return None
        key = practice, info.id, number
        if key not in self._truth:
            self._truth[key] = self._counted(practice, info, number)
        return self._truth[key]

    def _counted(self, practice: str, info: IndicatorInfo, number: int) -> float | None:
        try:
            found = columns(
                kept.read(self._connection, practice, [number]).columns(number, info.id)
            )
        except LookupError:
            return None
        whole = int(found.denominator.sum())
        return None if not whole else info.per * int(found.numerator.sum()) / whole / info.scale


def _named(connection: Connection) -> dict[tuple[str, str, int], set[str]]:
    """``{(viewer, indicator, epoch): practices}`` whose cell of it was shown to them by name."""
    table = schema.disclosures
    rows = connection.execute(
        select(table.c.viewer, table.c.subject, table.c.epoch, table.c.indicators)
        .where(table.c.level == NAMED)
        .distinct()
    )
    found: dict[tuple[str, str, int], set[str]] = defaultdict(set)
    for row in rows:
        for indicator in json.loads(row.indicators):
            found[row.viewer, indicator, row.epoch].add(row.subject)
    return found


def _released(connection: Connection, number: int) -> dict[tuple[str, str], int]:
    """``{(practice, indicator): the epoch of the figure that was shown at this one}``.

    Of a cell that most agreements showed without a figure, the newest that a stricter one may have
    gone on showing: whoever is in a set had one.
    """
    table = schema.cells
    key = table.c.practice, table.c.indicator
    figure = table.c.value.is_not(None)
    before = connection.execute(
        select(*key, func.max(table.c.epoch).label("epoch"))
        .where(table.c.epoch <= number, table.c.is_release, figure, table.c.reach > K)
        .group_by(*key)
    )
    now = connection.execute(
        select(*key, table.c.released_epoch.label("epoch")).where(table.c.epoch == number, figure)
    )
    found = (before, now)
    return {(row.practice, row.indicator): row.epoch for rows in found for row in rows}
