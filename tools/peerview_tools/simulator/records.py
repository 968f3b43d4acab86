"""A practice's records as of a day: what its clinical system would send as the first full load."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from peerview_common.days import LONDON
from peerview_common.facts import NATIONAL_CATEGORIES
from peerview_tools.simulator import codes, resources
from peerview_tools.simulator.codes import Code
from peerview_tools.simulator.people import Person, new_id, people
from peerview_tools.simulator.practices import Practice, Quality
from peerview_tools.simulator.resources import Resource


def roster(practice: Practice, day: date) -> list[Person]:
    """The practice's patients as of `day`."""
    return people(practice, day)


def history(practice: Practice, day: date) -> Iterator[Resource]:
    """Every resource of the practice as of `day`, patient by patient, the Patient first."""
    rng = random.Random(f"{practice.seed}/history")  # noqa: S311
    gps = gp_ids(practice)
    for person in people(practice, day):
        yield from _Record(practice, person, day, gps, rng).resources()


def gp_ids(practice: Practice) -> list[str]:
    rng = random.Random(f"{practice.seed}/gps")  # noqa: S311
    return [new_id(rng) for _ in range(practice.gps)]


class _Record:
    """One patient's record. Every draw is made in a fixed order, so a seed gives one history."""

    def __init__(
        self, practice: Practice, person: Person, day: date, gps: list[str], rng: random.Random
    ) -> None:
        self.practice = practice
        self.person = person
        self.day = day
        self.gps = gps
        self.rng = rng

    @property
    def quality(self) -> Quality:
        return self.practice.quality

    def resources(self) -> Iterator[Resource]:
        yield from self._registration()
        yield from self._diagnoses()
        yield from self._pressures()
        yield from self._sugar()
        yield from self._medicines()
        yield from self._reviews()
        yield from self._screening()
        yield from self._appointments()
        yield from self._contacts()
        yield from self._noise()
        if self.person.objects:
            yield self._coded(codes.OBJECTION, 400)

    # -- time: everything lies before the end of yesterday, so nothing is stamped ahead

    def _ago(self, least: int, most: int) -> date:
        return self.day - timedelta(days=self.rng.randint(least, most))

    def _at(self, day: date) -> datetime:
        minutes = self.rng.randint(8 * 60, 18 * 60)
        return datetime.combine(day, time(minutes // 60, minutes % 60), tzinfo=LONDON)

    def _updated(self, day: date) -> datetime:
        stamp = datetime.combine(day, time(19, 0), tzinfo=UTC)
        return stamp + timedelta(milliseconds=self.rng.randrange(3_600_000))

    def _id(self) -> str:
        return new_id(self.rng)

    # -- kinds of resource

    def _condition(self, code: Code, onset: date) -> Resource:
        return resources.condition(
            self._id(), self._updated(onset), patient=self.person.identity, code=code, onset=onset
        )

    def _prescription(self, code: Code, least: int, most: int) -> Resource:
        day = self._ago(least, most)
        return resources.prescription(
            self._id(), self._updated(day), patient=self.person.identity, code=code, authored=day
        )

    def _reading(self, code: Code, day: date, value: float, unit: str) -> Resource:
        return resources.observation(
            self._id(),
            self._updated(day),
            patient=self.person.identity,
            code=code,
            at=self._at(day),
            value=value,
            unit=unit,
        )

    def _coded(self, code: Code, days_ago: int) -> Resource:
        day = self.day - timedelta(days=days_ago)
        return resources.observation(
            self._id(),
            self._updated(day),
            patient=self.person.identity,
            code=code,
            at=self._at(day),
        )

    # -- the parts of a record

    def _registration(self) -> Iterator[Resource]:
        person, ods = self.person, self.practice.ods
        yield resources.patient(
            person.identity,
            self._updated(person.died or person.joined),
            nhs_number=person.nhs_number,
            name=person.name,
            address=person.address,
            female=person.female,
            born=person.born,
            ods=ods,
            died=person.died,
        )
        yield resources.episode(
            self._id(),
            self._updated(person.left or person.joined),
            patient=person.identity,
            ods=ods,
            start=person.joined,
            end=person.left,
        )

    def _diagnoses(self) -> Iterator[Resource]:
        person = self.person
        for has, code in (
            (person.hypertension, codes.HYPERTENSION),
            (person.diabetes, codes.DIABETES),
            (person.fibrillation, codes.ATRIAL_FIBRILLATION),
            (person.copd, codes.COPD),
        ):
            if has:
                yield self._condition(code, self._ago(60, 4000))
        if person.heart:
            chosen = self.rng.choice((codes.HEART_DISEASE, codes.STROKE, codes.TIA))
            yield self._condition(chosen, self._ago(60, 4000))
        if person.fibrillation:
            yield self._reading(
                codes.CHADSVASC, self._ago(30, 700), self.rng.randint(1, 6), "{score}"
            )
        if person.frail:
            yield self._coded(codes.MODERATE_FRAILTY, self.rng.randint(20, 900))

    def _pressures(self) -> Iterator[Resource]:
        if not self.person.hypertension:
            return
        fate = self.rng.random()
        if fate > 0.95:  # never came, though twice asked
            yield self._coded(codes.HYPERTENSION_INVITE, 200)
            yield self._coded(codes.HYPERTENSION_INVITE, 120)
            return
        if fate > 0.93:
            yield self._coded(codes.HYPERTENSION_DECLINED, 100)
            return
        for days in (self.rng.randint(380, 700), self.rng.randint(5, 330)):
            well = self.rng.random() < self.quality.pressure
            yield self._panel(self.day - timedelta(days=days), well, self.rng.random() < 0.2)

    def _panel(self, day: date, well: bool, home: bool) -> Resource:
        systolic, diastolic = pressures(self.rng, well, home)
        return resources.pressure(
            self._id(),
            self._updated(day),
            patient=self.person.identity,
            at=self._at(day),
            systolic=systolic,
            diastolic=diastolic,
        )

    def _sugar(self) -> Iterator[Resource]:
        if not self.person.diabetes:
            return
        if self.rng.random() > 0.94:
            yield self._coded(codes.DIABETES_INVITE, 220)
            yield self._coded(codes.DIABETES_INVITE, 130)
            return
        for least, most in ((380, 700), (5, 330)):
            well = self.rng.random() < self.quality.hba1c
            value = hba1c(self.rng, well)
            yield self._reading(codes.HBA1C, self._ago(least, most), value, "mmol/mol")

    def _medicines(self) -> Iterator[Resource]:
        person, rng, quality = self.person, self.rng, self.quality
        if person.fibrillation and rng.random() < quality.anticoagulated:
            for least in (5, 60, 120):
                yield self._prescription(codes.APIXABAN, least, least + 50)
        if person.heart and rng.random() < quality.lipids:
            for least in (5, 60, 120):
                yield self._prescription(codes.ATORVASTATIN, least, least + 50)
        if person.age(self.day) >= 60:
            if rng.random() < quality.unprotected_nsaid * 1.6:
                yield self._prescription(codes.NAPROXEN, 3, 85)
            if rng.random() < 0.35:
                yield self._prescription(codes.OMEPRAZOLE, 3, 85)
        if rng.random() < quality.broad_antibiotics:
            yield self._prescription(codes.CO_AMOXICLAV, 3, 85)

    def _reviews(self) -> Iterator[Resource]:
        if self.person.copd and self.rng.random() < self.quality.copd_review:
            day = self.rng.randint(10, 350)
            yield self._coded(codes.COPD_REVIEW, day)
            yield self._coded(codes.COPD_EXACERBATIONS, day)
            yield self._coded(codes.BREATHLESSNESS, day)

    def _screening(self) -> Iterator[Resource]:
        person, rng = self.person, self.rng
        age = person.age(self.day)
        if person.female and 25 <= age <= 64:
            fate = rng.random()
            if fate < 0.03:
                yield self._coded(codes.NO_CERVIX, rng.randint(300, 3000))
            elif rng.random() < self.quality.smears:
                yield self._coded(codes.SMEAR, rng.randint(20, 1200))
            else:
                yield self._coded(codes.SMEAR, rng.randint(2100, 3000))
        toddler = person.born <= self.day - timedelta(days=480) and age < 5
        if toddler and rng.random() < self.quality.mmr:
            day = person.born + timedelta(days=rng.randint(375, 460))
            yield resources.immunization(
                self._id(), self._updated(day), patient=person.identity, code=codes.MMR, day=day
            )

    def _appointments(self) -> Iterator[Resource]:
        for _ in range(self.rng.choice((0, 0, 1, 1, 2, 3))):
            start = self._ago(3, 85)
            soon = self.rng.random() < self.quality.within_14_days
            wait = self.rng.randint(0, 13) if soon else self.rng.randint(16, 40)
            booked = start - timedelta(days=wait)
            fate = self.rng.random()
            status = (
                "noshow"
                if fate < self.quality.missed
                else "cancelled"
                if fate > 0.96
                else "fulfilled"
            )
            yield resources.appointment(
                self._id(),
                self._updated(start),
                patient=self.person.identity,
                booked=self._at(booked),
                # a time of day after any booking's, for those booked and seen on one day
                start=datetime.combine(start, time(18, 15), tzinfo=LONDON),
                status=status,
                category=self.rng.choice(NATIONAL_CATEGORIES[:4]),
            )

    def _contacts(self) -> Iterator[Resource]:
        for _ in range(self.rng.choice((0, 1, 2, 3, 4))):
            day = self._ago(3, 350)
            usual = self.rng.random() < self.quality.usual_gp
            gp = self.gps[self.person.usual_gp] if usual else self.rng.choice(self.gps)
            yield resources.encounter(
                self._id(),
                self._updated(day),
                patient=self.person.identity,
                gp=gp,
                at=self._at(day),
            )

    def _noise(self) -> Iterator[Resource]:
        if self.rng.random() < 0.3:
            yield self._condition(self.rng.choice(codes.NOISE_CONDITIONS), self._ago(100, 3000))
        if self.rng.random() < 0.5:
            code = self.rng.choice(codes.NOISE_READINGS)
            yield self._reading(code, self._ago(3, 900), self.rng.randint(18, 90), "1")
        if self.rng.random() < 0.5:
            yield self._prescription(self.rng.choice(codes.NOISE_MEDICINES), 3, 300)


def pressures(
    rng: random.Random, well: bool, home: bool
) -> tuple[tuple[Code, int], tuple[Code, int]]:
    """A systolic and a diastolic with their codes, at the setting's target or above it."""
    if home:
        pair = (codes.HOME_SYSTOLIC, codes.HOME_DIASTOLIC)
        high = (rng.randint(136, 165), rng.randint(86, 100))
        fine = (rng.randint(112, 135), rng.randint(68, 85))
    else:
        pair = (codes.SYSTOLIC, codes.DIASTOLIC)
        high = (rng.randint(142, 175), rng.randint(80, 104))
        fine = (rng.randint(114, 140), rng.randint(68, 90))
    systolic, diastolic = fine if well else high
    return (pair[0], systolic), (pair[1], diastolic)


def hba1c(rng: random.Random, well: bool) -> int:
    return rng.randint(42, 58) if well else rng.randint(60, 98)
