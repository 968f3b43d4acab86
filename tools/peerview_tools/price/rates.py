"""How the eight patient-level indicators move in a practice, as rates.

A model of contributions, not of records. Shares of the list follow the registers' prevalences that
QOF publishes for England, less exceptions and exclusions; levels are near the middle of the payment
ranges. How fast things move follows from the definitions (a review a year, a prescription within
six months, a cohort of children that is renewed in 12 months), from about how many are newly
diagnosed, and from how many are excepted for a year (5% of those with hypertension to 12% of those
with diabetes or COPD). They are estimates: `peerview simulate releases` also prints what half and
twice as much movement gives.
"""

from dataclasses import dataclass
from typing import Final

LIST_TURNOVER: Final = 0.08 / 12
"""Share of the list that leaves in a month; as many come."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Monthly rates are shares of those who can make the step."""

    indicator: str
    share: float
    """Denominator, as a share of the list."""
    level: float
    """Numerator, as a share of the denominator."""
    renewal: float
    """Of the denominator, who leave it in a month while staying on the list (exceptions, resolved
    diagnoses, birthdays), and as many who come into it."""
    falls: float
    """Of the numerator, who leave it in a month and stay in the denominator. Those who come into it
    follow, so that the level stays."""

    @property
    def rises(self) -> float:
        return self.falls * self.level / (1 - self.level)


RATES: Final = (
    # a reading a year; renewal a year: 6% new diagnoses, 5% exceptions, 4% turn 80
    Rate("bp-htn-u80", share=0.105, level=0.70, renewal=0.011, falls=0.065),
    # 8% new diagnoses, 11% exceptions
    Rate("dm-hba1c-58", share=0.056, level=0.62, renewal=0.016, falls=0.055),
    # repeat prescriptions, missed by a few for half a year; 13% new diagnoses, 4% exceptions
    Rate("af-anticoag", share=0.019, level=0.91, renewal=0.015, falls=0.015),
    # 8% new diagnoses, 8% exceptions
    Rate("cvd-lipid-rx", share=0.048, level=0.85, renewal=0.013, falls=0.0125),
    # three codes within a year; 8% new diagnoses, 12% exceptions, and deaths
    Rate("copd-review", share=0.019, level=0.70, renewal=0.020, falls=0.070),
    # screened every 3 or 5 years; 2.5% birthdays, 5% exceptions, 2% pregnancies
    Rate("cervical", share=0.24, level=0.70, renewal=0.008, falls=0.012),
    # a cohort: the dose must be given by 18 months, and each child counts for 12
    Rate("mmr-18m", share=0.011, level=0.90, renewal=1 / 12, falls=0.002),
    # courses of weeks, and stomach protection that comes and goes
    Rate("nsaid-65-nogi", share=0.11, level=0.012, renewal=0.030, falls=0.40),
)
