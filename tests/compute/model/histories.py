"""Random histories of one patient, for property tests: what happened, and how it reached us."""

import os
from dataclasses import dataclass
from random import Random

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from peerview_common.changes import PatientChange
from peerview_common.codes import shipped
from peerview_common.days import LONG_AGO, parse_day
from peerview_common.facts import (
    Appointment,
    AppointmentStatus,
    Code,
    Coded,
    Component,
    Contact,
    Fact,
    Person,
    Registration,
    ResourceType,
    Unit,
)
from tests.compute.model.facts_of import codes_of

PATIENT = b"one patient's ky"
FIRST_DAY = parse_day("2025-03-01")
LAST_DAY = parse_day("2027-02-28")
DAY_MILLIS = 86_400_000
LATE_DAYS = 380
"""Nothing reaches us later than 12 months after it was recorded."""

examples = int(os.environ.get("PEERVIEW_TEST_EXAMPLES", "0"))


def quick(count: int) -> settings:
    """A few examples at every change."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=not examples,
        suppress_health_check=list(HealthCheck),
    )


def thorough(count: int = 10_000) -> settings:
    """Many, for tests that are marked ``long``; ``PEERVIEW_TEST_EXAMPLES`` overrides."""
    return settings(
        max_examples=examples or count,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )


_CLUSTERS = sorted(shipped().clusters - {"TYPE1DISSENT_COD", "TYPE1WITHDRAWN_COD"})
_GROUPS = (
    ("HYP_COD", "HYPRES_COD", "HYPINVITE_COD", "HTMAX_COD", "MODFRAIL_COD", "MILDFRAIL_COD"),
    ("DM_COD", "DMRES_COD", "DMINVITE_COD", "HBA1C_IFCC", "HBA1C_PERCENT", "DMMAX_COD"),
    ("AFIB_COD", "AFIBRES_COD", "CHA2DS2VASC_SCORE", "DOAC_RX", "VKA_RX", "DOACDEC_COD"),
    ("CHD_COD", "STATIN_RX", "STATDEC_COD", "OTHERLIPID_RX", "PALCARE_COD", "PALCARENI_COD"),
    ("COPD_COD", "COPDRVW_COD", "COPDEXACB_COD", "MRC_COD", "COPDINVITE_COD", "COPDRES_COD"),
    ("SMEAR_COD", "CSINVITE_COD", "CSPCADEC_COD", "PREGNANT_COD", "NOCX_COD"),
    ("MMR_COD", "MMRCON_COD"),
    ("ORAL_NSAID_RX", "PPI_H2RA_RX", "BROAD_ABX_RX"),
)
_SCORES = ("HBA1C_IFCC", "HBA1C_PERCENT", "CHA2DS2VASC_SCORE")
_PARTS = ("BP_SYSTOLIC_CLINIC", "BP_DIASTOLIC_CLINIC", "BP_SYSTOLIC_HOME", "BP_DIASTOLIC_HOME")
_KINDS = (
    ResourceType.CONDITION,
    ResourceType.OBSERVATION,
    ResourceType.PROCEDURE,
    ResourceType.MEDICATION_REQUEST,
)
_EDGES = tuple(
    parse_day(text)
    for text in ("2024-02-29", "2024-08-31", "2025-02-28", "2025-08-31", "2026-03-31", "2026-04-01")
)  # fmt: skip


@dataclass(frozen=True)
class History:
    """All versions of a patient's facts, each with the day on which it reached us."""

    versions: tuple[tuple[int, Fact], ...]
    seed: int

    def changes_until(self, day: int) -> list[Fact]:
        return [fact for arrived, fact in self.versions if arrived <= day]

    def shuffled(self) -> Random:
        return Random(self.seed)


class _Maker:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.themes = random.sample(_GROUPS, random.randint(1, 2))

    def some_day(self) -> int:
        random = self.random
        roll = random.random()
        if roll < 0.08:
            return random.choice(_EDGES)
        if roll < 0.2:
            return random.randint(FIRST_DAY - 2600, FIRST_DAY)
        return random.randint(FIRST_DAY - 420, LAST_DAY + 60)

    def body(self) -> tuple[ResourceType, object]:
        random = self.random
        roll = random.random()
        if roll < 0.1:
            end = self.some_day() if random.random() < 0.5 else None
            start = LONG_AGO if random.random() < 0.2 else self.some_day()
            return ResourceType.EPISODE_OF_CARE, Registration(random.random() < 0.8, start, end)
        if roll < 0.18:
            day = self.some_day()
            booked = None if random.random() < 0.2 else day - random.randint(-2, 20)
            category = None if random.random() < 0.2 else random.randrange(8)
            status = int(random.choice(list(AppointmentStatus)))
            return ResourceType.APPOINTMENT, Appointment(day, booked, status, category)
        if roll < 0.28:
            gp = random.choice((b"gp-one--", b"gp-two--", b"gp-three"))
            return ResourceType.ENCOUNTER, Contact(self.some_day(), gp)
        if roll < 0.4:
            return ResourceType.OBSERVATION, self.blood_pressure()
        return self.coded()

    def pressure(self, part: str) -> float | None:
        random = self.random
        if random.random() < 0.05:
            return random.choice((None, 39, 40, 250, 251, 350, 351))
        return random.randint(125, 150) if "SYSTOLIC" in part else random.randint(78, 95)

    def unit(self, own: Unit) -> int:
        return int(self.random.choice((own, own, own, Unit.ABSENT, Unit.OTHER)))

    def blood_pressure(self) -> Coded:
        random = self.random
        day = self.some_day()
        if random.random() < 0.4:
            part = random.choice(_PARTS)
            code = random.choice(codes_of(part))
            return Coded(day, 0, (code,), self.pressure(part), self.unit(Unit.MM_HG), None, ())
        parts = tuple(
            Component((random.choice(codes_of(part)),), self.pressure(part), self.unit(Unit.MM_HG))
            for part in random.choice((_PARTS[:2], _PARTS[2:], _PARTS, _PARTS[:1]))
        )
        return Coded(day, 0, (random.choice(codes_of("BP_PANEL")),), None, 0, None, parts)

    def coded(self) -> tuple[ResourceType, Coded]:
        random = self.random
        themed = random.random() < 0.85
        cluster = random.choice(random.choice(self.themes) if themed else _CLUSTERS)
        code = random.choice(codes_of(cluster))
        codes: tuple[Code, ...] = (code,)
        if random.random() < 0.05:
            codes = (code, random.choice(codes_of(random.choice(_CLUSTERS))))
        value: float | None = None
        unit = 0
        if cluster in _SCORES:
            value = random.choice((None, 1, 2, 5, 5.5, 6.5, 7.4, 7.5, 9, 10, 48, 58, 58.0, 59, 250))
            unit = self.unit(random.choice((Unit.MMOL_PER_MOL, Unit.PERCENT)))
        day = self.some_day()
        resolved = None
        kind = random.choice(_KINDS)
        if kind == ResourceType.CONDITION and random.random() < 0.3:
            resolved = day + random.randint(-30, 500)
        elapsed = random.choice((0, 0, 36_000_000_000))
        return kind, Coded(day, elapsed, codes, value, unit, resolved, ())

    def person(self) -> Person:
        random = self.random
        age_days = random.choice((365, 500, 6_300, 9_100, 18_200, 23_600, 27_300, 29_200))
        birth: int | None = FIRST_DAY - age_days + random.randint(-500, 900)
        if random.random() < 0.15:
            birth = parse_day(random.choice(("1948-02-29", "1960-02-29", "2000-02-29")))
        if random.random() < 0.03:
            birth = None
        died = self.some_day() if random.random() < 0.1 else None
        if random.random() < 0.02:
            died = int(LONG_AGO)
        inactive = self.some_day() if random.random() < 0.1 else None
        practice = random.choice((1, 1, 1, 1, 0, 2))
        return Person(birth, random.choice((2, 2, 1)), died, practice, inactive, False)

    def versions(self) -> list[tuple[int, Fact]]:
        random = self.random
        made: list[tuple[int, Fact]] = []
        for n in range(random.randint(1, 40)):
            kind, body = (
                (ResourceType.PATIENT, self.person())
                if n == 0 and random.random() < 0.97
                else self.body()
            )
            identity = f"r{n}".encode() if n % 2 else b"\0" + bytes([n]) * 16
            first = getattr(body, "day", FIRST_DAY - random.randint(0, 700))
            recorded = min(max(first + random.randint(0, 40), FIRST_DAY - 2600), LAST_DAY)
            for version in range(random.choice((1, 1, 1, 2, 3))):
                if version:
                    recorded = min(recorded + random.randint(0, 200), LAST_DAY)
                    roll = random.random()
                    if roll < 0.25:
                        body = None
                    elif kind == ResourceType.PATIENT:
                        body = self.person()
                    else:
                        while True:
                            other, body = self.body()
                            if other == kind:
                                break
                stamp = recorded * DAY_MILLIS + random.choice((0, 0, 5_000))
                fact = Fact(
                    int(kind), identity, stamp, random.choice((-1, version)), "",
                    body is None and random.random() < 0.5, body,  # type: ignore[arg-type]
                )  # fmt: skip
                made.extend(
                    (recorded + random.randint(0, LATE_DAYS - 20), fact)
                    for _ in range(random.choice((1, 1, 1, 2)))
                )
        return made


def make_history(seed: int) -> History:
    versions = _Maker(Random(seed)).versions()
    return History(tuple(sorted(versions, key=lambda found: found[0])), seed)


def histories() -> st.SearchStrategy[History]:
    return st.integers(min_value=0, max_value=2**48).map(make_history)


def change(facts: list[Fact], *, generation: int = 0, objected: bool = False) -> PatientChange:
    return PatientChange(PATIENT, generation, objected, facts)
