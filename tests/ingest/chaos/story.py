"""What practices send in a run, and what the log must come to: both follow from a seed.

A lane is one sender: its documents concern patients that no other lane speaks of, and come one
after the other. A *strict* lane sends the same again until it is taken, as ``docs/ingest.md`` asks;
a *lazy* one, whose documents do not depend on each other, goes on, and comes back in the end.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from peerview_common import codes
from peerview_common.changes import ChangeSet, Control
from peerview_common.facts import Body, Fact, newer
from peerview_common.ids import OdsCode
from peerview_ingest.fhir import Feed, HmacKeys, Read, Reader, Receipt
from peerview_ingest.fhir.objection import objects, without_objection_codes, word_of
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_tools.simulator.nhs_number import nhs_number
from tests.ingest.builders import (
    NHS,
    appointment,
    bundle,
    condition,
    deletion,
    dissent,
    meta,
    patient,
)

Json = dict[str, Any]
SOURCE = "demo"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
CODES = codes.shipped()
Held = dict[tuple[str, bytes], dict[tuple[int, bytes], Body]]
"""``{(practice, patient): {(type, id): what it says}}``; patients without facts are left out."""


@dataclass
class Lane:
    number: int
    practice: str
    strict: bool
    random: Random
    documents: list[Json] = field(default_factory=list)
    _clock: int = 0
    _made: int = 0
    _patients: list[str] = field(default_factory=list)
    _records: dict[str, Json] = field(default_factory=dict)
    """The newest of each resource that is there, by id."""
    _objecting: dict[str, int] = field(default_factory=dict)

    def write(self, documents: int) -> None:
        while len(self.documents) < documents:
            self._next()

    def _next(self) -> None:
        kinds = ["patient", "condition"]
        if self.strict and len(self._patients) > 3:
            kinds = ["patient", "condition", "condition", "update", "update", "move", "delete"]
            kinds += ["appointment", "object"]
            if self._objecting:
                kinds.append("opt in")
        getattr(self, f"_{self.random.choice(kinds).replace(' ', '_')}")()

    def _id(self) -> str:
        self._made += 1
        return f"{self.number:02x}-{self._made:06x}"

    def _stamp(self) -> Json:
        self._clock += 1
        moment = BEGIN + timedelta(seconds=self._clock)
        return meta(moment.isoformat().replace("+00:00", "Z"), str(self._clock))

    def _add(self, *entries: Json, **rest: Any) -> None:
        self.documents.append(bundle(*entries, **rest))

    def _keep(self, resource: Json) -> Json:
        self._records[resource["id"]] = resource
        return resource

    def _any(self) -> str:
        return self.random.choice(self._patients)

    def _day(self) -> str:
        return f"20{self.random.randrange(10, 26)}-0{self.random.randrange(1, 10)}-11"

    def _patient(self) -> None:
        who = self._id()
        self._patients.append(who)
        number = nhs_number(self.number * 10_000 + self._made)
        person = patient(who, meta=self._stamp(), identifier=[{"system": NHS, "value": number}])
        illness = condition(self._id(), meta=self._stamp(), patient=who, onsetDateTime=self._day())
        self._add(self._keep(person), self._keep(illness))

    def _condition(self) -> None:
        if not self._patients or not self.strict:
            self._patient()
            return
        self._add(
            *(
                self._keep(condition(self._id(), meta=self._stamp(), patient=self._any()))
                for _ in range(self.random.randrange(1, 4))
            )
        )

    def _illness(self) -> Json | None:
        found = [each for each in self._records.values() if each["resourceType"] == "Condition"]
        return self.random.choice(found) if found else None

    def _update(self) -> None:
        illness = self._illness()
        if illness is not None:
            self._add(self._keep({**illness, "meta": self._stamp(), "onsetDateTime": self._day()}))

    def _move(self) -> None:
        illness = self._illness()
        if illness is not None:
            subject = {"reference": f"Patient/{self._any()}"}
            self._add(self._keep({**illness, "meta": self._stamp(), "subject": subject}))

    def _delete(self) -> None:
        illness = self._illness()
        if illness is not None:
            del self._records[illness["id"]]
            when = self._stamp()["lastUpdated"]
            self._add(deletion(f"Condition/{illness['id']}"), timestamp=when)

    def _appointment(self) -> None:
        actors = [f"Patient/{self._any()}", f"Patient/{self._any()}"]
        self._add(self._keep(appointment(self._id(), *actors, meta=self._stamp())))

    def _object(self) -> None:
        who = self._any()
        if who in self._objecting:
            return
        day = (BEGIN + timedelta(days=2 * self._clock)).date()
        self._objecting[who] = self._clock
        self._add(self._said(who, day.isoformat(), "TYPE1DISSENT_COD"))

    def _opt_in(self) -> None:
        """Withdrawn, and the whole record sent again, as the receipt asks."""
        who = self.random.choice(sorted(self._objecting))
        then = self._objecting.pop(who)
        day = (BEGIN + timedelta(days=2 * then + 1)).date()
        self._add(self._said(who, day.isoformat(), "TYPE1WITHDRAWN_COD"))
        own = [each for each in self._records.values() if f"Patient/{who}" in str(each)]
        own.append(self._records[who])
        self._add(*own)

    def _said(self, who: str, day: str, code: str) -> Json:
        said = dissent(self._id(), day, code)
        return {**said, "subject": {"reference": f"Patient/{who}"}, "meta": self._stamp()}


def lanes(seed: int, practices: list[str], documents: int) -> list[Lane]:
    """Two strict lanes and a lazy one a practice, with about ``documents`` in all: to opt in takes
    two at once."""
    found = [
        Lane(number, practices[number // 3], number % 3 != 2, Random(f"{seed} {number}"))
        for number in range(3 * len(practices))
    ]
    for number, lane in enumerate(found):
        lane.write(documents * (number + 1) // len(found) - documents * number // len(found))
    return found


def reads(lane: Lane, document: Json) -> list[Read]:
    """What ingest's own reader makes of a document; how it is sent on is not looked at."""
    keys = HmacKeys(DEMONSTRATION_KEY, lane.practice)
    reader = Reader(CODES, Feed(OdsCode(lane.practice), SOURCE), keys, Receipt(NOW_MS))
    return reader.bundle(document)


NOW_MS = int((BEGIN + timedelta(days=3000)).timestamp() * 1000)


def expected(found: Iterable[Lane]) -> Held:
    """The newest version of everything, of everybody who does not object."""
    held: Held = {}
    for lane in found:
        newest: dict[tuple[int, bytes], tuple[Fact, tuple[bytes, ...]]] = {}
        for document in lane.documents:
            for read in reads(lane, document):
                assert read.fact is not None, read
                key = (read.fact.type, read.fact.id)
                if key not in newest or newer(newest[key][0], read.fact) is read.fact:
                    newest[key] = (read.fact, read.patients)
        words = defaultdict(list)
        for fact, whose in newest.values():
            word = word_of(CODES, fact)
            if word is not None:
                words[whose[0]].append(word)
        for key, (fact, whose) in newest.items():
            body = without_objection_codes(CODES, fact).body
            for one in whose if body is not None else ():
                if not objects(words[one]):
                    held.setdefault((lane.practice, one), {})[key] = body
    return held


def held_by(events: Iterable[ChangeSet | Control]) -> Held:
    """The join of a log: of each patient the newest facts of the greatest generation."""
    generations: dict[tuple[str, bytes], tuple[int, bool]] = {}
    facts: dict[tuple[str, bytes], dict[tuple[int, bytes], Fact]] = {}
    for event in events:
        assert isinstance(event, ChangeSet)
        for change in event.patients:
            who = (event.practice, change.patient)
            mine = (change.generation, change.objected)
            if mine < generations.get(who, (0, False)):
                continue
            if mine > generations.get(who, (0, False)):
                generations[who], facts[who] = mine, {}
            for fact in change.facts:
                key = (fact.type, fact.id)
                known = facts[who].get(key)
                facts[who][key] = fact if known is None else newer(known, fact)
    bodies = {
        who: {key: fact.body for key, fact in mine.items() if fact.body is not None}
        for who, mine in facts.items()
    }
    return {who: mine for who, mine in bodies.items() if mine}


def facts_of(lane: Lane, document: Json) -> Iterator[tuple[bytes, int, bytes, int]]:
    """``(patient, type, id, stamp)`` of everything in a document that may count."""
    for read in reads(lane, document):
        fact = read.fact
        if fact is not None and fact.body is not None:
            for who in read.patients:
                yield who, fact.type, fact.id, fact.stamp
