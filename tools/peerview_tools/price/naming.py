"""Can practices be named in views that name nobody? Simulated for 20 and 60 contributors."""

import random
from dataclasses import dataclass
from statistics import mean
from typing import Final

from peerview_common.catalogue import IndicatorInfo, catalogue
from peerview_share.attack.linkage import Naming, name_bands, name_quantiles
from peerview_share.attack.log import Banded, quantiles
from peerview_share.disclosure import identity
from peerview_tools.price.figures import Figures, figures

SIZES: Final = (20, 60)
MODES: Final = ("anonymous", "distribution")
DRAWS: Final = 200


@dataclass(frozen=True, slots=True)
class Row:
    """Means over draws. ``right`` is in times of chance."""

    contributors: int
    mode: str
    indicator: str
    right: float
    without: float
    records: float

    @property
    def share(self) -> float:
        return self.right / self.contributors


def over_all(found: list[Row], size: int, mode: str) -> float:
    """Of all indicators, in times of chance."""
    return mean(row.right for row in found if (row.contributors, row.mode) == (size, mode))


def rows(*, draws: int = DRAWS, seed: int = 1, sizes: tuple[int, ...] = SIZES) -> list[Row]:
    """One row for each size, mode and indicator."""
    found = []
    for size in sizes:
        for info in catalogue().values():
            rng = random.Random(f"{seed}/{size}/{info.id}")  # noqa: S311 - a simulation
            drawn = [figures(info, size, rng) for _ in range(draws)]
            for mode in MODES:
                named = [n for n in (_named(info, one, mode) for one in drawn) if n is not None]
                found.append(
                    Row(
                        size,
                        mode,
                        info.id,
                        mean(one.right for one in named),
                        mean(one.without for one in named),
                        mean(one.records for one in named),
                    )
                )
    return found


def exact(*, contributors: int = 60, draws: int = DRAWS, seed: int = 1) -> float:
    """Share of practices that are named by today's exact figures: what the outsider is worth."""
    shares = []
    for info in catalogue().values():
        rng = random.Random(f"{seed}/{contributors}/{info.id}")  # noqa: S311
        for _ in range(draws):
            found = figures(info, contributors, rng)
            before = sorted(found.last_year, key=found.last_year.__getitem__)
            after = sorted(found.now, key=found.now.__getitem__)
            shares.append(sum(a == b for a, b in zip(before, after, strict=True)) / contributors)
    return mean(shares)


def _named(info: IndicatorInfo, found: Figures, mode: str) -> Naming | None:
    shown = {name: cell.figure.value for name, cell in found.cells.items() if cell.figure}
    if mode == "anonymous":
        view = identity.bands(found.cells, info, epoch=1)
        return name_bands(
            Banded("", info.id, found.last_year, shown, bands=view.peers, edges=view.edges)
        )
    values = quantiles(identity.distribution(found.cells, info, epoch=1))
    return name_quantiles(Banded("", info.id, found.last_year, shown, quantiles=values))
