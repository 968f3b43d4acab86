"""Made-up patients in bulk: a few hundred templates, and ids that differ from patient to patient.

A template is one patient of exactly so many facts, with UUID ids as clinical systems give them and
the mix of a general practice's record. A million patients are the templates' bytes with other ids
put in their place, which takes microseconds a patient; the cached figures stay true, since no
figure depends on an id.
"""

import os
import random
import uuid
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final

import msgspec

from peerview_common import changes
from peerview_common.changes import PatientChange
from peerview_common.codes import shipped
from peerview_common.days import parse_day
from peerview_common.facts import (
    Appointment,
    AppointmentStatus,
    Code,
    Coded,
    Component,
    Contact,
    Fact,
    GeneralPractice,
    Person,
    Registration,
    ResourceType,
    Sex,
    Unit,
)
from peerview_compute.model.core import Core, shipped_definitions

DAY: Final = parse_day("2026-03-03")
"""The as-of day: a Tuesday like any other."""
DAY_MILLIS: Final = 86_400_000
HELD: Final = 40
"""Facts of a state."""
BROUGHT: Final = 10
"""Facts of one patient's part of a change."""

_LONG_TERM = ("HYP_COD", "DM_COD", "AFIB_COD", "COPD_COD", "CHD_COD", "STRK_COD")
_MEDICINES = (
    "STATIN_RX", "ORAL_NSAID_RX", "PPI_H2RA_RX", "BROAD_ABX_RX", "DOAC_RX", "VKA_RX",
)  # fmt: skip
_ENDED = (
    AppointmentStatus.FULFILLED, AppointmentStatus.FULFILLED, AppointmentStatus.FULFILLED,
    AppointmentStatus.NOSHOW, AppointmentStatus.CANCELLED,
)  # fmt: skip
_encode: Final = msgspec.msgpack.Encoder().encode


@cache
def core() -> Core:
    return Core(shipped_definitions())


@cache
def _codes(cluster: str) -> tuple[Code, ...]:
    listed = shipped()
    found: list[Code] = []
    for row in listed.rows:
        if row.cluster == cluster:
            bnf = row.system == "bnf-prefix"
            found.extend((f"bnf:{row.code}",) if bnf else listed.codes_for(row.system, row.code))
    return tuple(found)


class Template:
    """One patient as of ``DAY``."""

    def __init__(self, seed: int, held: int = HELD) -> None:
        self._rng = random.Random(seed)  # noqa: S311
        self.facts = self._history(held)
        change = PatientChange(bytes(16), 1, False, self.facts)
        self.state = core().apply(None, change, DAY).stored
        """Encoded, with a cache that holds on ``DAY``."""
        self._places = [
            # the first byte of an id stays, which keeps the facts in their order
            self.state.index(fact.id) + 2
            for fact in self.facts
        ]

    def new_state(self) -> bytes:
        """The same patient with ids that nobody else has."""
        made = bytearray(self.state)
        fresh = os.urandom(15 * len(self._places))
        at = 0
        for place in self._places:
            made[place : place + 15] = fresh[at : at + 15]
            at += 15
        return bytes(made)

    def change(self, round_: int, facts: int = BROUGHT) -> bytes:
        """Newer versions of some of the facts, with other values; encoded, as a list of facts."""
        rng = random.Random(f"{self.facts[0].id.hex()}/{round_}")  # noqa: S311
        chosen = rng.sample(self.facts[:-2], min(facts, len(self.facts) - 2))
        return _encode([_revised(fact, round_ + 1, rng) for fact in chosen])

    def _history(self, held: int) -> list[Fact]:
        rng = self._rng
        found = [
            self._fact(
                ResourceType.PATIENT,
                4000,
                Person(
                    DAY - rng.randrange(365, 90 * 365),
                    int(rng.choice((Sex.MALE, Sex.FEMALE))),
                    None,
                    int(GeneralPractice.HERE),
                    None,
                    False,
                ),
            ),
            self._fact(ResourceType.EPISODE_OF_CARE, 4000, Registration(True, DAY - 4000, None)),
        ]
        kinds = rng.choices(
            (self._pressure, self._medicine, self._appointment, self._contact, self._sugar,
             self._diagnosis, self._review),
            (7, 10, 8, 6, 3, 3, 1),
            k=max(0, held - 2),
        )  # fmt: skip
        found += [kind() for kind in kinds]
        return sorted(found, key=lambda fact: (fact.type, fact.id))

    def _fact(self, kind: ResourceType, ago: int, body: Any) -> Fact:
        stamp = (DAY - ago) * DAY_MILLIS + self._rng.randrange(DAY_MILLIS)
        packed = b"\0" + uuid.UUID(int=self._rng.getrandbits(128), version=4).bytes
        return Fact(int(kind), packed, stamp, 1, "", False, body)

    def _coded(
        self, kind: ResourceType, cluster: str, ago: int, value: float | None = None,
        unit: Unit = Unit.ABSENT, parts: tuple[Component, ...] = (),
    ) -> Fact:  # fmt: skip
        elapsed = self._rng.randrange(8 * 3600, 18 * 3600) * 1_000_000
        code = self._rng.choice(_codes(cluster))
        return self._fact(
            kind, ago, Coded(DAY - ago, elapsed, (code,), value, int(unit), None, parts)
        )

    def _pressure(self) -> Fact:
        rng = self._rng
        parts = tuple(
            Component((_codes(f"BP_{part}_CLINIC")[0],), value, int(Unit.MM_HG))
            for part, value in (
                ("SYSTOLIC", rng.randrange(105, 175)),
                ("DIASTOLIC", rng.randrange(60, 100)),
            )
        )
        kind = ResourceType.OBSERVATION
        return self._coded(kind, "BP_PANEL", self._recently(), parts=parts)

    def _medicine(self) -> Fact:
        cluster = self._rng.choice(_MEDICINES)
        return self._coded(ResourceType.MEDICATION_REQUEST, cluster, self._recently())

    def _sugar(self) -> Fact:
        value, unit = self._rng.randrange(38, 90), Unit.MMOL_PER_MOL
        return self._coded(ResourceType.OBSERVATION, "HBA1C_IFCC", self._recently(), value, unit)

    def _diagnosis(self) -> Fact:
        cluster = self._rng.choice(_LONG_TERM)
        return self._coded(ResourceType.CONDITION, cluster, self._rng.randrange(30, 5000))

    def _review(self) -> Fact:
        cluster = self._rng.choice(("COPDRVW_COD", "SMEAR_COD"))
        return self._coded(ResourceType.OBSERVATION, cluster, self._recently())

    def _appointment(self) -> Fact:
        ago, waited = self._recently(), self._rng.randrange(30)
        status, category = int(self._rng.choice(_ENDED)), self._rng.randrange(8)
        body = Appointment(DAY - ago, DAY - ago - waited, status, category)
        return self._fact(ResourceType.APPOINTMENT, ago, body)

    def _contact(self) -> Fact:
        ago, gp = self._recently(), self._rng.randrange(1, 7).to_bytes(8, "big")
        return self._fact(ResourceType.ENCOUNTER, ago, Contact(DAY - ago, gp))

    def _recently(self) -> int:
        # facts that no window reaches any more are pruned, and would be missing in the forty
        return self._rng.randrange(1, 330)


def _revised(fact: Fact, version: int, rng: random.Random) -> Fact:
    body = fact.body
    if isinstance(body, Coded):
        parts = tuple(
            Component(part.codes, (part.value or 0) + rng.randrange(-9, 10), part.unit)
            for part in body.components
        )
        value = None if body.value is None else body.value + rng.randrange(-9, 10)
        moved = body.day - rng.randrange(3)
        body = Coded(moved, body.elapsed, body.codes, value, body.unit, body.resolved, parts)
    elif isinstance(body, Appointment):
        body = Appointment(body.day, body.booked, int(rng.choice(_ENDED)), body.category)
    elif isinstance(body, Contact):
        body = Contact(body.day - rng.randrange(3), body.gp)
    stamp = DAY * DAY_MILLIS + version
    return Fact(fact.type, fact.id, stamp, version, fact.source, False, body)


@cache
def templates(count: int, held: int = HELD) -> tuple[Template, ...]:
    return tuple(Template(seed, held) for seed in range(count))


def patient_key(number: int) -> bytes:
    """Keys look like the hashes they are: spread over all 16 bytes, and known again by number."""
    spread = (number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835
    return (spread & (2**128 - 1)).to_bytes(16, "big")


def practice_code(number: int) -> str:
    return f"B{number:05}"


def change_set(practice: str, parts: Iterable[tuple[bytes, bytes]]) -> bytes:
    """An encoded change set of ``(patient key, encoded facts)``."""
    found = [(key, 1, False, msgspec.Raw(facts)) for key, facts in parts]
    at = DAY * DAY_MILLIS
    return _encode(
        {
            "format": changes.FORMAT, "practice": practice, "source": "bench", "submission": "b",
            "received": at, "data_through": at, "codes": shipped().version, "patients": found,
        }
    )  # fmt: skip


def stored_patients(first: int, count: int, using: int = 500) -> Iterator[tuple[bytes, bytes]]:
    """``(patient key, state)`` of patients ``first`` to ``first + count - 1``."""
    found = templates(min(using, max(1, count)))
    for number in range(first, first + count):
        yield patient_key(number), found[number % len(found)].new_state()
