"""What every service needs to know of the twelve indicators: names, kinds and directions.

How they are computed is the compute service's business; a test checks that its definitions say the
same. Standard library only, for the pure cores import it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

MEAN_SCALE: Final = 1_000_000
"""A mean's numerators are whole millionths."""


class Kind(StrEnum):
    PATIENTS = "proportion-of-patients"
    APPOINTMENTS = "proportion-of-appointments"
    """One patient may count several times."""
    RATE = "rate"
    """``1,000 x numerator / denominator``; a patient may add more than one to the numerator."""
    MEAN = "mean-of-ratios"
    """``numerator / denominator / 1,000,000``: the mean of one ratio a patient."""


class Direction(StrEnum):
    HIGHER = "higher"
    LOWER = "lower"


_PER: Final = {Kind.PATIENTS: 100, Kind.APPOINTMENTS: 100, Kind.RATE: 1000, Kind.MEAN: 1}


@dataclass(frozen=True, slots=True)
class IndicatorInfo:
    """An indicator as people and the disclosure rules see it."""

    id: str
    title: str
    why: str
    kind: Kind
    direction: Direction
    unit: str
    bands: tuple[float, float, float]
    """Edges of the four fixed value bands, in the unit shown."""
    demonstration_only: bool
    """Codes of the shipped list on which it rests are stand-ins: no figure to act on."""

    @property
    def per(self) -> int:
        """What the ratio is multiplied with to be shown."""
        return _PER[self.kind]

    @property
    def counted(self) -> str:
        """What the denominator counts."""
        return "appointments" if self.kind is Kind.APPOINTMENTS else "patients"

    @property
    def scale(self) -> int:
        """How much of the numerator one whole of the denominator is worth."""
        return MEAN_SCALE if self.kind is Kind.MEAN else 1


def parse(items: list[dict[str, Any]]) -> Mapping[str, IndicatorInfo]:
    """The catalogue in its own order; ValueError or KeyError where an entry is not one."""
    found: dict[str, IndicatorInfo] = {}
    for item in items:
        low, middle, high = item["bands"]
        if not low < middle < high:
            raise ValueError(f"bands of {item['id']} do not ascend")
        found[item["id"]] = IndicatorInfo(
            id=item["id"],
            title=item["title"],
            why=item["why"],
            kind=Kind(item["kind"]),
            direction=Direction(item["direction"]),
            unit=item["unit"],
            bands=(low, middle, high),
            demonstration_only=bool(item["demonstration_only"]),
        )
    return MappingProxyType(found)


@lru_cache(maxsize=1)
def catalogue() -> Mapping[str, IndicatorInfo]:
    """The shipped indicators by id."""
    text = resources.files("peerview_common").joinpath("catalogue.json").read_text("utf-8")
    return parse(json.loads(text))


def without_stand_ins(found: Mapping[str, IndicatorInfo]) -> Mapping[str, IndicatorInfo]:
    """The same indicators under a code list of which no code is a stand-in."""
    return MappingProxyType(
        {name: replace(info, demonstration_only=False) for name, info in found.items()}
    )
