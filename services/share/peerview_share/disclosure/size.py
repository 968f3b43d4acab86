"""Rule 3: a figure that rests on few people is suppressed. Sizes are in distinct patients."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from peerview_common.catalogue import IndicatorInfo, Kind
from peerview_share.disclosure.columns import Contributed, columns

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


def totals(contributions: Contributed, info: IndicatorInfo) -> Totals:
    found = columns(contributions)
    there = np.flatnonzero(found.denominator > 0)
    whole = found.denominator[there].astype(np.int64)
    part = found.numerator[there].astype(np.int64)
    rest = (part == 0).astype(np.int64) if info.kind is Kind.RATE else info.scale * whole - part
    return Totals(
        denominator=int(whole.sum()),
        numerator=int(part.sum()),
        complement=int(rest.sum()),
        patients=len(there),
        numerator_patients=int(np.count_nonzero(part > 0)),
        complement_patients=int(np.count_nonzero(rest > 0)),
        largest=int(part.max(initial=0)),
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
