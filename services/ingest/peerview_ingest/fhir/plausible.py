"""Readings that count as none: ingest takes them, and says so."""

from typing import Final

from peerview_common.facts import Code, Unit
from peerview_ingest.fhir.setting import Setting

PLAUSIBLE: Final = {
    "BP_SYSTOLIC": (40, 350, Unit.MM_HG),
    "BP_DIASTOLIC": (20, 250, Unit.MM_HG),
    "HBA1C": (10, 250, Unit.MMOL_PER_MOL),
}


def say_implausible(
    at: Setting, codes: tuple[Code, ...], value: int | float | None, unit: Unit, place: str
) -> None:
    if value is None:
        return
    clusters = frozenset[str]().union(*(at.codes.clusters_of(code) for code in codes))
    percent = "HBA1C_PERCENT" in clusters and not (
        "HBA1C_IFCC" in clusters and unit in (Unit.ABSENT, Unit.MMOL_PER_MOL)
    )
    for prefix, (low, high, own) in PLAUSIBLE.items():
        if not any(cluster.startswith(prefix) for cluster in clusters):
            continue
        wanted = Unit.PERCENT if own is Unit.MMOL_PER_MOL and percent else own
        if unit not in (Unit.ABSENT, wanted):
            at.notes.warn(place, "value", "not in the unit of its code: it counts as no reading")
            return
        amount = 10.93 * value - 23.5 if wanted is Unit.PERCENT else value
        if not low <= amount <= high:
            at.notes.warn(place, "value", "outside what is plausible: it counts as no reading")
            return
