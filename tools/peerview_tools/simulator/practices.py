"""The made-up practices, and how well each of them does what the indicators look at."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Quality:
    """Probabilities, by what a practice does. `0.8` for `pressure` controls four in five."""

    pressure: float
    hba1c: float
    anticoagulated: float
    lipids: float
    copd_review: float
    smears: float
    mmr: float
    unprotected_nsaid: float
    broad_antibiotics: float
    """Mean number of broad-spectrum courses a patient in three months."""
    within_14_days: float
    missed: float
    usual_gp: float


@dataclass(frozen=True)
class Practice:
    """`size` is the number of patients, `seed` decides everything random about them."""

    ods: str
    name: str
    size: int
    seed: int
    quality: Quality
    gps: int = 4
    system: str = "demo-gp-system"
    """The source system's name, as the practice's tokens say it."""
    objections: float = field(default=0.01)
    """The share of patients with a type 1 opt-out."""


def _quality(*values: float) -> Quality:
    return Quality(*values)


PRACTICES = (
    Practice("A99001", "Amberwick Surgery", 520, 101,
             _quality(.82, .71, .92, .90, .84, .79, .96, .04, .045, .90, .035, .80)),
    Practice("A99002", "Brindlemoor Medical Centre", 480, 202,
             _quality(.61, .52, .84, .78, .70, .66, .90, .12, .095, .78, .080, .52)),
    Practice("A99003", "Cinderholt Health Centre", 440, 303,
             _quality(.72, .66, .88, .86, .62, .72, .94, .08, .060, .86, .055, .66)),
    Practice("A99004", "Damsonreach Practice", 560, 404,
             _quality(.76, .45, .79, .83, .76, .58, .88, .09, .110, .83, .100, .45)),
    Practice("A99005", "Elderfen Family Doctors", 400, 505,
             _quality(.67, .60, .90, .74, .80, .70, .92, .06, .075, .92, .060, .72)),
)  # fmt: skip
