"""Rule 3: a figure that rests on few people is suppressed. Sizes are in distinct patients."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from peerview_common.catalogue import IndicatorInfo, Kind
from peerview_share.disclosure.gate import Contributions

MIN_PATIENTS: Final = 20
SMALL: Final = range(1, 8)


class Reason(StrEnum):
    """Why a cell is suppressed. For the subject practice only: peers never learn it."""

    FEW_PATIENTS = "few-patients"
    FEW_IN_NUMERATOR = "few-in-numerator"
    FEW_IN_COMPLEMENT = "few-in-complement"
    ONE_DOMINATES = "one-dominates"
    SMALL_COUNT = "small-count"
    EXTREME = "extreme"


@dataclass(frozen=True, slots=True)
class Totals:
    """A cell's raw sums. They never leave this package."""

    denominator: int
    numerator: int
    complement: int
    """``scale x denominator - numerator``; of a rate, the patients with no numerator."""
    patients: int
    numerator_patients: int
    complement_patients: int
    largest: int
    """The largest numerator of one patient."""


def totals(contributions: Contributions, info: IndicatorInfo) -> Totals:
    denominator = numerator = complement = 0
    patients = numerator_patients = complement_patients = largest = 0
    rate = info.kind is Kind.RATE
    for whole, part in contributions.values():
        if whole <= 0:
            continue
        rest = int(part == 0) if rate else info.scale * whole - part
        denominator += whole
        numerator += part
        complement += rest
        patients += 1
        numerator_patients += part > 0
        complement_patients += rest > 0
        largest = max(largest, part)
    return Totals(
        denominator,
        numerator,
        complement,
        patients,
        numerator_patients,
        complement_patients,
        largest,
    )


def too_small(found: Totals, info: IndicatorInfo) -> Reason | None:
    """The first part of rule 3 that the figure breaks, None when it is large enough."""
    if found.patients < MIN_PATIENTS:
        return Reason.FEW_PATIENTS
    if found.numerator_patients in SMALL:
        return Reason.FEW_IN_NUMERATOR
    if found.complement_patients in SMALL:
        return Reason.FEW_IN_COMPLEMENT
    if 2 * found.largest > found.numerator:
        return Reason.ONE_DOMINATES
    # a mean's numerator is in millionths: a sum of them is not a count of anything
    counts = [found.denominator]
    if info.kind is not Kind.MEAN:
        counts += [found.numerator, found.complement]
    if any(count in SMALL for count in counts):
        return Reason.SMALL_COUNT
    return None
