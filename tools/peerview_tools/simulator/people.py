"""Who the simulated patients are: their ages, what they have, and when they joined the practice."""

import random
import uuid
from dataclasses import dataclass
from datetime import date, timedelta

from peerview_tools.simulator.nhs_number import nhs_number
from peerview_tools.simulator.practices import Practice

GIVEN = (
    "Amelia", "Oliver", "Isla", "George", "Ava", "Noah", "Priya", "Mohammed", "Grace", "Arthur",
    "Freya", "Leo", "Florence", "Oscar", "Maryam", "Harry", "Ivy", "Jack", "Rosie", "Kofi",
)  # fmt: skip
FAMILY = (
    "Testford", "Sampleton", "Mockridge", "Fakenham", "Dummer", "Specimen-Hall", "Placeholder",
    "Fictionby", "Madeup", "Imagine", "Pretendly", "Notreal", "Examplar", "Standin",
)  # fmt: skip
STREETS = ("Invented Row", "Nowhere Lane", "Sample Street", "Example Road", "Fiction Close")
TOWNS = ("Nonsuch", "Imberley", "Little Figment", "Great Notion")


@dataclass(frozen=True)
class Person:
    identity: str
    """The FHIR id."""
    nhs_number: str
    name: tuple[str, str]
    address: tuple[str, str, str]
    female: bool
    born: date
    joined: date
    left: date | None
    died: date | None
    hypertension: bool
    diabetes: bool
    fibrillation: bool
    heart: bool
    copd: bool
    frail: bool
    objects: bool
    usual_gp: int

    def age(self, day: date) -> int:
        before = (day.month, day.day) < (self.born.month, self.born.day)
        return day.year - self.born.year - before


def new_id(rng: random.Random) -> str:
    """A UUID that the seed decides."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _age_days(rng: random.Random) -> int:
    """An age with a bulge of toddlers and of the over-sixties, whom most indicators are about."""
    group = rng.random()
    if group < 0.10:
        return rng.randint(540, 920)  # turned 18 months within the last year
    if group < 0.20:
        return rng.randint(30, 17 * 365)
    if group < 0.55:
        return rng.randint(17 * 365, 55 * 365)
    return rng.randint(55 * 365, 92 * 365)


def people(practice: Practice, day: date) -> list[Person]:
    """Everybody who is, or lately was, on the practice's list on `day`."""
    rng = random.Random(f"{practice.seed}/people")  # noqa: S311
    return [_person(practice, n, day, rng) for n in range(practice.size)]


def _person(practice: Practice, n: int, day: date, rng: random.Random) -> Person:
    born = day - timedelta(days=_age_days(rng))
    age = (day - born).days / 365.25
    older = max(0.0, min(1.0, (age - 30) / 45))
    joined = max(born, day - timedelta(days=rng.randint(30, 9000)))
    gone = rng.random()
    departure = day - timedelta(days=rng.randint(5, 300))
    return Person(
        identity=new_id(rng),
        nhs_number=nhs_number(practice.seed * 100 + n),
        name=(rng.choice(GIVEN), rng.choice(FAMILY)),
        address=(
            f"{rng.randint(1, 120)} {rng.choice(STREETS)}",
            rng.choice(TOWNS),
            f"ZZ99 {rng.randint(1, 9)}ZZ",
        ),
        female=rng.random() < 0.51,
        born=born,
        joined=joined,
        left=departure if gone < 0.02 else None,
        died=departure if 0.02 <= gone < 0.03 else None,
        hypertension=rng.random() < 0.75 * older,
        diabetes=rng.random() < 0.35 * older,
        fibrillation=rng.random() < 0.45 * max(0.0, older - 0.3),
        heart=rng.random() < 0.40 * older,
        copd=rng.random() < 0.24 * older,
        frail=age > 78 and rng.random() < 0.25,
        objects=rng.random() < practice.objections,
        usual_gp=rng.randrange(practice.gps),
    )
