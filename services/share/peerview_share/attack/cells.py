"""Every practice's cells: all pairs of releases, and what each figure that was shown rests on."""

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np

from peerview_share.attack.differencing import (
    COUNTS,
    ENOUGH,
    FEW,
    PairDifference,
    differences,
    inherited,
)
from peerview_share.attack.finding import Find, Kind, Tried
from peerview_share.attack.log import CellLog, Release
from peerview_share.disclosure.columns import columns

MIN_PATIENTS: Final = 20


class CellAttack:
    """Goes through cells one by one and keeps what the attack on derived figures needs."""

    def __init__(self, memory_days: int, newest_day: int) -> None:
        self._memory_days = memory_days
        self._oldest = newest_day - memory_days
        self._finds: list[Find] = []
        self._small: list[Find] = []
        self._stricter: list[Find] = []
        self._pairs = self._figures = self._cells = self._releases = self._retracted = 0
        self._stricter_pairs = 0
        self._practices: set[str] = set()
        self._forgotten = 0
        self.between: dict[tuple[str, str, int, int], tuple[int, int, int]] = {}
        """Pairs whose counts are not all `ENOUGH` or more."""

    def run(self, cells: Iterable[CellLog], alive: Callable[[], None]) -> None:
        """``alive`` is called before each cell and may raise to end it."""
        for cell in cells:
            alive()
            self._take(cell)

    def _take(self, cell: CellLog) -> None:
        self._cells += 1
        self._releases += len(cell.releases)
        self._retracted += sum(release.retracted for release in cell.releases)
        self._practices.add(cell.practice)
        for pair in differences(cell):
            self._pairs += 1
            first, second = pair.first, pair.second
            if min(pair.counts) < ENOUGH:
                d, n, c = (min(count, ENOUGH) for count in pair.counts)
                self.between[cell.practice, cell.indicator, first.epoch, second.epoch] = (d, n, c)
            self._look(cell, pair)
        for pair in inherited(cell):
            self._pairs += 1
            self._look(cell, pair)
        for release in cell.releases:
            if release.shown and release.contributions is not None:
                self._figures += 1
                self._small += _rests_on_few(cell, release)
        self._look_for_lost(cell)

    def _look(self, cell: CellLog, pair: PairDifference) -> None:
        self._stricter_pairs += pair.asked > ENOUGH
        if not self._held(pair.first, pair.second):
            return
        if pair.few:
            self._finds.append(_few_patients(cell, pair.first, pair.second, pair.counts))
        if pair.fewer:
            self._stricter.append(_fewer_than_asked(cell, pair))

    def _held(self, first: Release, second: Release) -> bool:
        return abs(second.day - first.day) <= self._memory_days

    def _look_for_lost(self, cell: CellLog) -> None:
        """A release without patients is a blind spot while the gate must remember it (the newest
        for as long as it is the newest), and forgotten by rule otherwise."""
        lost = [release for release in cell.releases if release.contributions is None]
        for release in lost:
            if release is cell.releases[-1] or release.day >= self._oldest:
                self._finds.append(_lost(cell, release))
            else:
                self._forgotten += 1

    def tried(self) -> list[Tried]:
        return [
            Tried(
                "differencing of releases",
                "every release of a cell was compared, patient by patient, with every other "
                "release of it, in whatever network it was shown, retracted ones and those of "
                "withdrawn practices and of predecessors too",
                f"{self._releases:,} releases of {self._cells:,} cells of "
                f"{len(self._practices):,} practices, {self._retracted:,} of them retracted",
                self._pairs,
                tuple(self._finds),
                "certain: counted from the patients themselves",
            ),
            Tried(
                "differencing of stricter series",
                "every two releases of a cell that agreements with a larger minChange show were "
                "compared in the same way, whether they differ by fewer patients than the largest "
                "that shows both",
                f"{self._cells:,} cells",
                self._stricter_pairs,
                tuple(self._stricter),
                "certain: counted from the patients themselves",
            ),
            Tried(
                "small figures",
                "every figure that was shown was counted again from its patients, whether it, or "
                "what is left of its denominator, rests on 1 to 7 of them",
                f"{self._figures:,} figures",
                self._figures,
                tuple(self._small),
                "certain: counted from the patients themselves",
            ),
        ]

    def notes(self) -> list[str]:
        if not self._forgotten:
            return []
        return [
            "Releases older than the gate's memory, whose patients are deleted by rule, so that no "
            f"pair with them could be tried: {self._forgotten:,}."
        ]


def _few_patients(
    cell: CellLog, first: Release, second: Release, counts: tuple[int, int, int]
) -> Find:
    few = " and ".join(
        f"{count} in the {name}" for name, count in zip(COUNTS, counts, strict=True) if count in FEW
    )
    where = sorted(first.networks | second.networks)
    shown = f" Seen in {', '.join(where)}." if where else ""
    retracted = " One of them was retracted later." if first.retracted or second.retracted else ""
    return Find(
        Kind.PATIENTS,
        f"{cell.practice}, {cell.indicator}: the releases of epoch {first.epoch} and epoch "
        f"{second.epoch} differ by few patients: {few}.{shown}{retracted}",
        practice=cell.practice,
        indicator=cell.indicator,
        epochs=(first.epoch, second.epoch),
    )


def _fewer_than_asked(cell: CellLog, pair: PairDifference) -> Find:
    first, second = pair.first, pair.second
    least = min(count for count in pair.counts if count)
    return Find(
        Kind.STRICTER,
        f"{cell.practice}, {cell.indicator}: the releases of epoch {first.epoch} and epoch "
        f"{second.epoch} are both shown by agreements with a minChange of {pair.asked}, and differ "
        f"by {least} patients.",
        practice=cell.practice,
        indicator=cell.indicator,
        epochs=(first.epoch, second.epoch),
    )


def _rests_on_few(cell: CellLog, release: Release) -> Iterable[Find]:
    found = columns(release.contributions or {})
    whole, part = found.denominator.astype(np.int64), found.numerator.astype(np.int64)
    there = whole > 0
    patients = int(there.sum())
    met = int((there & (part > 0)).sum())
    left = part == 0 if cell.rate else cell.scale * whole > part
    rest = int((there & left).sum())
    if patients >= MIN_PATIENTS and met not in FEW and rest not in FEW:
        return
    yield Find(
        Kind.SMALL,
        f"{cell.practice}, {cell.indicator}: the figure of epoch {release.epoch} rests on "
        f"{patients:,} patients, {met:,} in the numerator and {rest:,} in the rest.",
        practice=cell.practice,
        indicator=cell.indicator,
        epochs=(release.epoch,),
    )


def _lost(cell: CellLog, release: Release) -> Find:
    return Find(
        Kind.BLIND,
        f"{cell.practice}, {cell.indicator}: the patients behind the release of epoch "
        f"{release.epoch} are gone, though later releases must be compared with it.",
        practice=cell.practice,
        indicator=cell.indicator,
        epochs=(release.epoch,),
    )
