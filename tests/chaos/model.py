"""What a log of ``practice.changes`` must end in, said as plainly as possible.

Dicts of newest facts, one record after the other, and every patient evaluated from nothing whenever
somebody asks. No cache, no due day, no batch: nothing of the engine, and of the core only the
evaluation of one set of facts on one day.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from peerview_common.changes import (
    BackfillCompleted,
    ChangeSet,
    ClockTicked,
    Control,
    PatientChange,
    PatientRekeyed,
    ReleaseCut,
)
from peerview_common.days import day_text, iso_millis
from peerview_common.facts import Contact, Fact, newer
from peerview_common.snapshots import build_body, origin_hash
from peerview_common.values import IndicatorValue, Position, encode_value, value_key
from peerview_compute.engine.records import (
    MARKER_SIGN,
    Marker,
    Notes,
    decode_notes,
    encode,
    marker_key,
    notes_key,
)
from peerview_compute.engine.records import patient_key as state_key
from peerview_compute.model import state as states
from peerview_compute.model.calendar import add_months
from peerview_compute.model.core import Core
from peerview_compute.model.status import Contributions, Status

_COLUMNS = {Status.MET: 2, Status.MISS: 3, Status.EXCEPTION: 4, Status.EXCLUDED: 5}


@dataclass
class Patient:
    generation: int = 0
    objected: bool = False
    origins: tuple[bytes, ...] = ()
    facts: dict[tuple[str, int, bytes], Fact] = field(default_factory=dict)

    def take(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            known = self.facts.get(fact.key)
            self.facts[fact.key] = fact if known is None else newer(known, fact)

    def begin(self, generation: int, objected: bool) -> None:
        self.generation, self.objected, self.facts = generation, objected, {}

    def change(self, change: PatientChange) -> None:
        new, old = (change.generation, change.objected), (self.generation, self.objected)
        if new > old:
            self.begin(*new)
        if new >= old and not change.objected:
            self.take(change.facts)


@dataclass
class Practice:
    patients: dict[bytes, Patient] = field(default_factory=lambda: defaultdict(Patient))
    data_through: int = 0
    position: int = -1
    codes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """What every attempt of one practice and cut must say."""

    digest: bytes
    as_of: int
    data_through: int


class Model:
    """All partitions of one log, and what must be in the derived topics."""

    def __init__(self, core: Core, snapshot_key: bytes, partitions: int) -> None:
        self._core = core
        self._key = snapshot_key
        self.practices: list[dict[str, Practice]] = [
            defaultdict(Practice) for _ in range(partitions)
        ]
        self.markers = [Marker() for _ in range(partitions)]
        self.snapshots: dict[tuple[str, int], Snapshot] = {}
        self.records = 0

    def take(self, partition: int, offset: int, event: ChangeSet | Control) -> None:
        """The next record of a partition."""
        self.records += 1
        marker = self.markers[partition]
        match event:
            case ChangeSet():
                practice = self._practice(partition, event.practice, offset)
                practice.data_through = max(practice.data_through, event.data_through)
                for part in event.patients:
                    practice.patients[part.patient].change(part)
            case PatientRekeyed():
                self._rekey(partition, self._practice(partition, event.practice, offset), event)
            case BackfillCompleted():
                practice = self._practice(partition, event.practice, offset)
                practice.codes[event.codes] = max(practice.codes.get(event.codes, 0), event.at)
            case ClockTicked():
                if marker.as_of is None or event.day > marker.as_of:
                    self.markers[partition] = msgspec.structs.replace(
                        marker, as_of=event.day, done=event.day, ticked=offset
                    )
            case ReleaseCut():
                if event.cut > marker.cut:
                    self._cut(partition, event)
                    self.markers[partition] = msgspec.structs.replace(
                        marker, cut=event.cut, offset=offset
                    )

    def _practice(self, partition: int, code: str, offset: int) -> Practice:
        practice = self.practices[partition][code]
        practice.position = offset
        return practice

    def _rekey(self, partition: int, practice: Practice, event: PatientRekeyed) -> None:
        old = practice.patients.get(event.old)
        if old is None or event.old == event.new:
            return
        new = practice.patients[event.new]
        day = self.markers[partition].as_of
        if not old.objected and not self._kept(old, day):
            return
        moved = (old.generation, old.objected)
        if moved > (new.generation, new.objected):
            new.begin(*moved)
        if moved == (new.generation, new.objected) and not old.objected:
            source = event.old_source
            new.take(
                fact if fact.source or not source else msgspec.structs.replace(fact, source=source)
                for fact in old.facts.values()
            )
        new.origins = tuple(sorted({*new.origins, *(old.origins or (event.old,))}))
        old.begin(old.generation + 1, objected=False)

    # -- what it adds up to

    def _kept(self, patient: Patient, day: int | None) -> list[Fact]:
        facts = sorted(patient.facts.values(), key=lambda fact: fact.key)
        if day is None:
            return facts
        return self._core.evaluator.prune(facts, day)[0]

    def _counted(self, patient: Patient, day: int) -> Contributions:
        facts = list(patient.facts.values())
        if not facts:
            return self._core.all_out
        return tuple(found[0] for found in self._core.evaluator.evaluate_all(facts, day))

    def _cut(self, partition: int, event: ReleaseCut) -> None:
        definitions = self._core.definitions
        for code, practice in self.practices[partition].items():
            found: list[dict[int, tuple[int, int]]] = [{} for _ in definitions.indicators]
            gps = set()
            for key, patient in practice.patients.items():
                origin = origin_hash(self._key, min(patient.origins, default=key))
                counted = self._counted(patient, event.day)
                for place, (_, denominator, numerator) in zip(found, counted, strict=True):
                    if denominator:
                        more = place.get(origin, (0, 0))
                        place[origin] = (more[0] + denominator, more[1] + numerator)
                since = add_months(event.day, -12)
                gps |= {
                    fact.body.gp
                    for fact in patient.facts.values()
                    if isinstance(fact.body, Contact) and since < fact.body.day <= event.day
                }
            body = build_body(
                {
                    indicator: (definitions.version_on(indicator, event.day), place)
                    for indicator, place in zip(definitions.indicators, found, strict=True)
                },
                gps=len(gps),
            )
            self.snapshots[code, event.cut] = Snapshot(
                hashlib.sha256(body).digest(), event.day, practice.data_through
            )

    def values(self) -> dict[bytes, bytes]:
        """The newest record of each key of ``indicator.values``."""
        return {
            key: value
            for partition, practices in enumerate(self.practices)
            for code, practice in practices.items()
            for key, value in self._values(partition, code, practice)
        }

    def _values(
        self, partition: int, code: str, practice: Practice
    ) -> Iterable[tuple[bytes, bytes]]:
        marker = self.markers[partition]
        if marker.as_of is None:
            return
        definitions = self._core.definitions
        sums = [[0] * 6 for _ in definitions.indicators]
        for patient in practice.patients.values():
            counted = self._counted(patient, marker.as_of)
            for row, (status, denominator, numerator) in zip(sums, counted, strict=True):
                row[0] += denominator
                row[1] += numerator
                if status != Status.OUT:
                    row[_COLUMNS[Status(status)]] += 1
        for indicator, row in zip(definitions.indicators, sums, strict=True):
            yield (
                value_key(code, indicator),
                encode_value(
                    IndicatorValue(
                        practice=code,
                        indicator=indicator,
                        version=definitions.version_on(indicator, marker.as_of),
                        definitions=definitions.hash_text,
                        as_of=day_text(marker.as_of),
                        data_through=iso_millis(practice.data_through),
                        denominator=row[0],
                        numerator=row[1],
                        met=row[2],
                        miss=row[3],
                        exception=row[4],
                        excluded=row[5],
                        objected=sum(p.objected for p in practice.patients.values()),
                        source=Position(partition, max(practice.position, marker.ticked)),
                    )
                ),
            )

    def states(self) -> dict[bytes, bytes]:
        """``patient.state`` by key, patients without their caches."""
        found = {}
        for partition, practices in enumerate(self.practices):
            marker = self.markers[partition]
            if marker != Marker():
                found[marker_key(partition)] = encode(marker)
            for code, practice in practices.items():
                found[notes_key(code)] = encode(
                    Notes(
                        data_through=practice.data_through,
                        position=practice.position,
                        codes=practice.codes,
                    )
                )
                for key, patient in practice.patients.items():
                    found[state_key(code, key)] = self._state(patient, marker.as_of)
        return found

    def patient(self, partition: int, code: str, patient: bytes) -> bytes | None:
        """A patient's state. None for nobody."""
        known = self.practices[partition][code].patients.get(patient)
        return None if known is None else self._state(known, self.markers[partition].as_of)

    def _state(self, patient: Patient, day: int | None) -> bytes:
        return states.encode(
            states.PatientState(
                states.FORMAT,
                patient.generation,
                patient.objected,
                patient.origins,
                None,
                self._kept(patient, day),
            )
        )

    def as_of(self, partition: int) -> int | None:
        return self.markers[partition].as_of

    def cells(self, code: str, patient: bytes) -> dict[int, tuple[int, int, int]]:
        """What a patient's cache must count, by the indicator's place."""
        for partition, practices in enumerate(self.practices):
            day = self.markers[partition].as_of
            if code in practices and day is not None:
                counted = self._counted(practices[code].patients[patient], day)
                return {n: c for n, c in enumerate(counted) if c[0] != Status.OUT}
        return {}


def comparable(key: bytes, value: bytes) -> bytes:
    """A record of ``patient.state`` as ``Model.states`` has it: a patient without the cache, notes
    without what they say about code lists other than the one that all is sent under."""
    if not key.endswith(MARKER_SIGN):
        return value if MARKER_SIGN in key else without_cache(value)[0]
    notes = decode_notes(value)
    return encode(
        Notes(data_through=notes.data_through, position=notes.position, codes=notes.codes)
    )


def pruned(core: Core, stored: bytes, day: int | None) -> bytes:
    """A patient's state without its cache, and without the facts that are dropped by a day."""
    state = states.decode(without_cache(stored)[0])
    if day is None:
        return states.encode(state)
    kept, _ = core.evaluator.prune(state.facts, day)
    return states.encode(msgspec.structs.replace(state, facts=kept))


def without_cache(stored: bytes) -> tuple[bytes, Any]:
    """A patient's state as the model has it, and its cache."""
    state = states.decode(stored)
    return states.encode(msgspec.structs.replace(state, cache=None)), state.cache
