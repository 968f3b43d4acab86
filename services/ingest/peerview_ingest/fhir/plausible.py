"""Readings that count as none: ingest takes them, and says so."""

from functools import lru_cache
from typing import Final, NamedTuple

from peerview_common.codes import CodeList
from peerview_common.facts import Code, Unit
from peerview_ingest.fhir.setting import Setting

PLAUSIBLE: Final = {
    "BP_SYSTOLIC": (40, 350, Unit.MM_HG),
    "BP_DIASTOLIC": (20, 250, Unit.MM_HG),
    "HBA1C": (10, 250, Unit.MMOL_PER_MOL),
}


SCORE: Final = "CHA2DS2VASC_SCORE"


class _Range(NamedTuple):
    low: float
    high: float
    unit: Unit
    """The one that it must be in, if it says one."""


def say_implausible(
    at: Setting, codes: tuple[Code, ...], value: int | float | None, unit: Unit, element: str
) -> None:
    """Note that a value of these codes, the Quantity ``element``, is no reading."""
    if value is None:
        if _measured(at.codes, codes):
            reason = "holds no number: it counts as no reading"
            at.notes.warn(f"{at.place}.{element}", "value", reason)
        return
    wanted = _range(at.codes, codes, unit)
    if wanted is None:
        return
    if unit not in (Unit.ABSENT, wanted.unit):
        reason = "not in the unit of its code: it counts as no reading"
        at.notes.warn(f"{at.place}.{element}", "value", reason)
        return
    amount = 10.93 * value - 23.5 if wanted.unit is Unit.PERCENT else value
    if not wanted.low <= amount <= wanted.high:
        reason = "outside what is plausible: it counts as no reading"
        at.notes.warn(f"{at.place}.{element}", "value", reason)


@lru_cache(maxsize=4_096)
def _measured(listed: CodeList, codes: tuple[Code, ...]) -> bool:
    """Whether a cluster of theirs counts by its value alone."""
    clusters = frozenset[str]().union(*(listed.clusters_of(code) for code in codes))
    return SCORE in clusters or any(each.startswith(tuple(PLAUSIBLE)) for each in clusters)


@lru_cache(maxsize=4_096)
def _range(listed: CodeList, codes: tuple[Code, ...], unit: Unit) -> _Range | None:
    clusters = frozenset[str]().union(*(listed.clusters_of(code) for code in codes))
    percent = "HBA1C_PERCENT" in clusters and not (
        "HBA1C_IFCC" in clusters and unit in (Unit.ABSENT, Unit.MMOL_PER_MOL)
    )
    for prefix, (low, high, own) in PLAUSIBLE.items():
        if any(cluster.startswith(prefix) for cluster in clusters):
            in_percent = own is Unit.MMOL_PER_MOL and percent
            return _Range(low, high, Unit.PERCENT if in_percent else own)
    return None
