"""What practices, and time, may send: at random, and the same for the same seed.

Every practice's population changes all the time. What is sent is remembered, so that it can come
late, again, in another order, corrected, deleted, or under another patient.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import msgspec

from peerview_common import changes
from peerview_common.changes import (
    BackfillCompleted,
    ChangeSet,
    ClockTicked,
    Control,
    PatientChange,
    PatientRekeyed,
    ReleaseCut,
)
from peerview_common.codes import shipped
from peerview_common.facts import (
    Appointment,
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
    pack_id,
)
from peerview_common.topics import practice_partition
from tests.compute.engine.feed import DAY, DAY_MILLIS, code

PRACTICES = ("A90001", "A90002", "A90003", "A90004", "A90005", "A90006")
MAX_DAYS = 300
"""How far the clock goes at most: versions that are replaced stay 13 months, and so outlive it."""
LONG_GONE = 395 - 40
"""Days before the start: what is this old is dropped while the clock goes."""

_CLUSTERS = sorted({row.cluster for row in shipped().rows} - {"BP_PANEL"})
_KINDS = (
    ResourceType.CONDITION,
    ResourceType.OBSERVATION,
    ResourceType.PROCEDURE,
    ResourceType.MEDICATION_REQUEST,
    ResourceType.IMMUNIZATION,
)
_COMMON = ("HYP_COD", "DM_COD", "AFIB_COD", "COPD_COD", "CHD_COD", "STATIN_RX", "HBA1C_IFCC")


class Sent(NamedTuple):
    partition: int
    event: ChangeSet | Control


@dataclass
class Somebody:
    """A patient as the generator knows them; ``facts`` are the newest versions."""

    key: bytes
    generation: int = 1
    objected: bool = False
    facts: dict[tuple[str, int, bytes], Fact] = field(default_factory=dict)


class Story:
    """An endless log. ``cut`` numbers and days grow; all else may come in any order."""

    def __init__(self, random: Random, partitions: int, size: int = 30) -> None:
        self._random = random
        self._partitions = partitions
        self._size = size
        self._clock = DAY * DAY_MILLIS
        self._names = 0
        self._days: list[int | None] = [None] * partitions
        self._cuts = 0
        self._people: dict[str, dict[bytes, Somebody]] = {code: {} for code in PRACTICES}
        self._gone: dict[str, list[bytes]] = {code: [] for code in PRACTICES}
        self._past: dict[str, deque[ChangeSet]] = {code: deque(maxlen=60) for code in PRACTICES}
        self._held: list[Sent] = []

    # -- what is asked of it

    def burst(self, count: int) -> Iterator[Sent]:
        """About so many events, some of them held back and sent later, or sent again."""
        random = self._random
        for _ in range(count):
            for sent in self._one():
                if random.random() < 0.12 and isinstance(sent.event, ChangeSet):
                    self._held.append(sent)
                    continue
                yield sent
                if random.random() < 0.05:
                    yield sent
            while self._held and random.random() < 0.15:
                yield self._held.pop(random.randrange(len(self._held)))

    def rest(self) -> Iterator[Sent]:
        """Everything that was held back."""
        while self._held:
            yield self._held.pop(self._random.randrange(len(self._held)))

    def tick(self, days: int | None = None) -> Iterator[Sent]:
        """A new day, mostly everywhere; sometimes also a day that is past."""
        random = self._random
        newest = max((day for day in self._days if day is not None), default=DAY)
        step = random.randint(1, 4) if days is None else days
        day = min(newest + step, DAY + MAX_DAYS)
        skipped = random.randrange(self._partitions * 4) if days is None else -1
        for partition in range(self._partitions):
            if partition == skipped:
                continue
            yield Sent(partition, ClockTicked(self._name("tick"), day, self._now()))
            self._days[partition] = day
            if random.random() < 0.2:
                past = ClockTicked(self._name("tick"), day - random.randint(0, 9), self._now())
                yield Sent(partition, past)

    def cut(self) -> Iterator[Sent]:
        """A release cut everywhere; sometimes the same twice."""
        days = [day for day in self._days if day is not None]
        if len(days) < self._partitions:
            return
        self._cuts += 1
        random = self._random
        day = min(days) - (random.randrange(30) if random.random() < 0.5 else 0)
        event = ReleaseCut(self._name("cut"), self._cuts, day, self._now())
        for partition in range(self._partitions):
            yield Sent(partition, event)
            if random.random() < 0.2:
                yield Sent(partition, event)

    def flood(self, partition: int) -> Iterator[Sent]:
        """Much for one partition."""
        for practice in self.practices_of(partition):
            yield from self._bulk(practice)

    def practices_of(self, partition: int) -> list[str]:
        return [practice for practice in PRACTICES if self._at(practice) == partition]

    def heartbeats(self) -> Iterator[Sent]:
        """One of each practice."""
        for practice in PRACTICES:
            yield self._sent(practice, [])

    # -- one event

    def _one(self) -> Iterator[Sent]:
        random = self._random
        practice = random.choice(PRACTICES)
        kinds: list[tuple[int, Callable[[str], Iterator[Sent]]]] = [
            (40, self._news),
            (8, self._bulk),
            (10, self._again),
            (8, self._opt_out),
            (6, self._move_practice),
            (6, self._move_fact),
            (6, self._rekey),
            (6, self._heartbeat),
            (2, self._backfill),
            (3, lambda _: self.tick()),
            (2, lambda _: self.cut()),
        ]
        weights = [weight for weight, _ in kinds]
        yield from random.choices(kinds, weights)[0][1](practice)

    def _news(self, practice: str) -> Iterator[Sent]:
        count = self._random.choice((1, 1, 1, 2, 5))
        people = [self._somebody(practice) for _ in range(count)]
        yield self._sent(practice, [self._change(who, self._facts(who)) for who in people])

    def _bulk(self, practice: str) -> Iterator[Sent]:
        """News of many patients at once: work in the middle of which something can happen. Nothing
        is told again, or it would make up for what was lost before."""
        chosen = {who.key: who for who in (self._somebody(practice) for _ in range(self._size))}
        yield self._sent(
            practice,
            [
                self._change(who, self._keep(who, [self._fact() for _ in range(4)]))
                for who in chosen.values()
                if not who.objected
            ],
        )

    def _again(self, practice: str) -> Iterator[Sent]:
        """Something of the past, as it was."""
        past = self._past[practice]
        if past:
            yield Sent(self._at(practice), self._random.choice(past))

    def _opt_out(self, practice: str) -> Iterator[Sent]:
        who = self._somebody(practice)
        if who.objected:
            who.generation, who.objected = who.generation + 1, False
            self._keep(who, [*self._person(), *(self._fact() for _ in range(4))])
            yield self._sent(practice, [self._change(who, list(who.facts.values()))])
        else:
            who.generation, who.objected = who.generation + 1, True
            who.facts = {}
            yield self._sent(practice, [self._change(who, [])])

    def _move_practice(self, practice: str) -> Iterator[Sent]:
        """Away from one, and to another, whose partition may be another too."""
        who = self._somebody(practice)
        if who.objected:
            return
        other = self._random.choice(PRACTICES)
        day = self._today()
        ended = self._registration(day - 900, day - self._random.randint(0, 40))
        elsewhere = self._person(GeneralPractice.ELSEWHERE)[:1]
        yield self._sent(practice, [self._change(who, self._keep(who, [*elsewhere, ended]))])
        if other == practice or who.key in self._people[other] or who.key in self._gone[other]:
            return
        there = Somebody(who.key)
        self._people[other][who.key] = there
        told = [fact for fact in who.facts.values() if fact.type != ResourceType.PATIENT]
        told += [*self._person(), self._registration(day, None)]
        yield self._sent(other, [self._change(there, self._keep(there, told))])

    def _move_fact(self, practice: str) -> Iterator[Sent]:
        """A fact that was under the wrong patient."""
        one, two = self._somebody(practice), self._somebody(practice)
        coded = [fact for fact in one.facts.values() if isinstance(fact.body, Coded)]
        if not coded or one is two or one.objected or two.objected:
            return
        fact = msgspec.structs.replace(self._random.choice(coded), stamp=self._now())
        gone = msgspec.structs.replace(fact, deleted=True, body=None)
        parts = [
            self._change(one, self._keep(one, [gone])),
            self._change(two, self._keep(two, [fact])),
        ]
        yield self._sent(practice, parts)

    def _rekey(self, practice: str) -> Iterator[Sent]:
        """The clinical system knows a patient by another key from now on."""
        random = self._random
        old = self._somebody(practice)
        new = self._somebody(practice) if random.random() < 0.4 else self._nobody()
        if old is new or (not old.facts and not old.objected):
            return
        # whoever re-keys carries generation and objection over
        if (old.generation, old.objected) > (new.generation, new.objected):
            new.generation, new.objected, new.facts = old.generation, old.objected, {}
        del self._people[practice][old.key]
        self._gone[practice].append(old.key)
        self._people[practice][new.key] = new
        source = random.choice(("", "old system"))
        name, now = self._name("rekey"), self._now()
        event = PatientRekeyed(name, practice, old.key, new.key, source, now)
        for _ in range(random.choice((1, 1, 2))):
            yield Sent(self._at(practice), event)
        if not new.objected:
            yield self._sent(practice, [self._change(new, self._facts(new))])

    def _heartbeat(self, practice: str) -> Iterator[Sent]:
        yield self._sent(practice, [])

    def _backfill(self, practice: str) -> Iterator[Sent]:
        codes = f"codes-{self._random.randrange(3)}"
        event = BackfillCompleted(self._name("backfill"), practice, codes, self._now())
        yield Sent(self._at(practice), event)

    # -- patients and facts

    def _somebody(self, practice: str) -> Somebody:
        people = self._people[practice]
        if not people or (len(people) < self._size and self._random.random() < 0.4):
            who = self._nobody()
            self._keep(who, self._person())
            people[who.key] = who
            return who
        return people[self._random.choice(list(people))]

    def _nobody(self) -> Somebody:
        return Somebody(self._random.randbytes(16))

    def _facts(self, who: Somebody) -> list[Fact]:
        """News of a patient, among them versions that lose."""
        random = self._random
        if who.objected:
            # told before they objected, and late: of an older generation, so of no account
            return []
        found: list[Fact] = self._person() if random.random() < 0.3 or not who.facts else []
        for _ in range(random.choice((1, 2, 3, 8))):
            known = list(who.facts.values())
            match random.randrange(10) if known else 9:
                case 0:  # corrected
                    fact = random.choice(known)
                    found.append(self._version(fact, self._now(), random.randrange(3)))
                case 1:  # late: an earlier version
                    fact = random.choice(known)
                    stamp = fact.stamp - random.randint(0, 3)
                    found.append(self._version(fact, stamp, fact.version))
                case 2:  # deleted, or without a part any more
                    fact = random.choice(known)
                    if fact.type != ResourceType.PATIENT:
                        deleted, stamp = random.random() < 0.7, random.choice((fact.stamp, None))
                        found.append(
                            msgspec.structs.replace(
                                fact,
                                stamp=self._now() if stamp is None else stamp,
                                deleted=deleted,
                                body=None,
                            )
                        )
                case 3:  # died, or not after all
                    found += self._person(died=random.random() < 0.6)[:1]
                case 4:  # registered again
                    day = self._today() - random.randint(0, 400)
                    found.append(self._registration(day, random.choice((None, None, day + 60))))
                case 5:  # so old that it is dropped some day; never seen before or after
                    found.append(self._old())
                case _:
                    found.append(self._fact())
        self._keep(who, found)
        if random.random() < 0.1:
            random.shuffle(found)
        return found

    def _keep(self, who: Somebody, facts: list[Fact]) -> list[Fact]:
        for fact in facts:
            if fact.stamp > (DAY - 30) * DAY_MILLIS:
                who.facts[fact.key] = fact
        return facts

    def _version(self, fact: Fact, stamp: int, version: int) -> Fact:
        body = fact.body
        if isinstance(body, Coded | Appointment | Contact):
            body = msgspec.structs.replace(body, day=body.day + self._random.randint(-20, 20))
        return msgspec.structs.replace(fact, stamp=stamp, version=version, body=body)

    def _person(
        self, practice: GeneralPractice = GeneralPractice.HERE, died: bool = False
    ) -> list[Fact]:
        random = self._random
        day = self._today()
        born = day - random.choice((random.randrange(500, 2000), random.randrange(9000, 34000)))
        body = Person(
            born,
            random.choice((Sex.MALE, Sex.FEMALE)),
            day - random.randint(0, 30) if died else None,
            practice,
            None,
            False,
        )
        stamp = self._now()
        person = Fact(ResourceType.PATIENT, b"person", stamp, 1, "", False, body)
        return [person, self._registration(day - random.randrange(4000), None)]

    def _registration(self, start: int, end: int | None) -> Fact:
        name = pack_id(f"episode-{self._random.randrange(3)}")
        body = Registration(True, start, end)
        return Fact(ResourceType.EPISODE_OF_CARE, name, self._now(), 1, "", False, body)

    def _fact(self) -> Fact:
        random = self._random
        day = self._today() - random.choice((random.randrange(30), random.randrange(1000)))
        body: Coded | Appointment | Contact
        match random.randrange(6):
            case 0:
                kind = ResourceType.APPOINTMENT
                status, category = random.randrange(9), random.randrange(8)
                body = Appointment(day, day - random.randrange(30), status, category)
            case 1:
                kind = ResourceType.ENCOUNTER
                body = Contact(day, random.randrange(6).to_bytes(8, "big"))
            case 2:
                kind = ResourceType.OBSERVATION
                parts = (
                    Component((code("BP_SYSTOLIC_CLINIC"),), random.randint(100, 180), 1),
                    Component((code("BP_DIASTOLIC_CLINIC"),), random.randint(60, 100), 1),
                )
                body = Coded(day, 0, (code("BP_PANEL"),), None, Unit.ABSENT, None, parts)
            case _:
                kind = random.choice(_KINDS)
                body = self._coded(day, random.choice(random.choice((_COMMON, _CLUSTERS))))
        name = pack_id(f"f{random.randrange(80)}")
        return Fact(kind, name, self._now(), random.randrange(2), "", False, body)

    def _coded(self, day: int, cluster: str) -> Coded:
        random = self._random
        value = random.randint(30, 90) if random.random() < 0.5 else None
        unit = Unit.MMOL_PER_MOL if value is not None else Unit.ABSENT
        resolved = day + 100 if random.random() < 0.1 else None
        return Coded(day, random.randrange(10), (code(cluster),), value, unit, resolved, ())

    def _old(self) -> Fact:
        day = DAY - LONG_GONE - self._random.randrange(30)
        body = Contact(day - 400, bytes(8))
        name = pack_id(self._name("old"))
        return Fact(ResourceType.ENCOUNTER, name, day * DAY_MILLIS, 1, "", False, body)

    # -- records

    def _change(self, who: Somebody, facts: list[Fact]) -> PatientChange:
        return PatientChange(who.key, who.generation, who.objected, [] if who.objected else facts)

    def _sent(self, practice: str, parts: list[PatientChange]) -> Sent:
        now = self._now()
        through = now - self._random.randrange(5)
        name = self._name("submission")
        version = shipped().version
        change = ChangeSet(
            changes.FORMAT, practice, "test", name, now, through, version, list(parts)
        )
        self._past[practice].append(change)
        return Sent(self._at(practice), change)

    def _at(self, practice: str) -> int:
        return practice_partition(practice, self._partitions)

    def _today(self) -> int:
        return max((day for day in self._days if day is not None), default=DAY)

    def _now(self) -> int:
        self._clock += self._random.randrange(1, 4)
        return self._clock

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}-{self._names}"
