"""What one partition knows and decides: its practices' tallies, the as-of day, the work of a tick.

No Kafka and no clock in here: changes go in, and the records to be written come out. The
invariant is the core's contract of the tally (``model.core``): a practice's tally is at every
moment the sum of what its stored states count, and is true for the practice's day.

A practice has a day of its own. A tick moves the partition's as-of day at once, and the practices
follow one by one: whoever is due is refreshed beside what is stored (*staged*), in as many slices
as it takes, and put in place in one step. Until then the practice's figures are those of its
earlier day, go on being counted as of it, and say so. Only a practice that is true for no day
(nothing was evaluated before, or recovery found it between two days) is refreshed in place, and
silent meanwhile.
"""

import time
from collections.abc import Iterable, Iterator
from operator import is_
from typing import Final, NamedTuple

from msgspec.structs import replace

from peerview_common.changes import PatientChange
from peerview_common.days import day_text, iso_millis
from peerview_common.snapshots import build_body, origin_hash
from peerview_common.values import IndicatorValue, Position, ValueState, encode_value, value_key
from peerview_compute.engine.records import (
    MARKER_SIGN,
    Marker,
    Notes,
    encode,
    marker_key,
    notes_key,
    patient_key,
    split_patient_key,
)
from peerview_compute.engine.states import PartitionStates, PracticeStates
from peerview_compute.model.core import NEVER, Applied, Core, Peek

NOT_EVALUATED: Final = -(2**40)
"""The due day of a patient whom these definitions have never been applied to."""

AWAITING: Final = "awaiting-backfill"
REKEYING: Final = "rekeying"
CURRENT: Final = "current"
MAX_STATE_BYTES: Final = 950_000
"""A larger state would not fit into a record of the topic."""


class StateTooLarge(ValueError):
    """A patient's state does not fit into a record."""


class Write(NamedTuple):
    """A record of ``patient.state`` or ``indicator.values`` to be sent."""

    key: bytes
    value: bytes


class Failure(NamedTuple):
    """A patient on whom work failed."""

    practice: str
    patient: bytes
    error: Exception


class Practice:
    """One practice's figures, held in step with its stored states."""

    __slots__ = (
        "code", "day", "due", "noted", "objected", "overtaken", "pending", "staged", "staged_day",
        "states", "tally", "ticked",
    )  # fmt: skip

    def __init__(self, code: str, states: PracticeStates, core: Core) -> None:
        self.code = code
        self.states = states
        self.day: int | None = None
        """The day that the tally is true for; None while it is true for none."""
        self.ticked = -1
        """The offset of the tick of ``day``."""
        self.tally = core.tally()
        self.objected = 0
        self.due: dict[int, set[bytes]] = {}
        """Patients by the day on which they must be refreshed. A patient may also be in buckets
        that no longer hold: to refresh somebody who needs it not is cheap, to look for them is
        not."""
        self.pending: list[bytes] = []
        """Patients of the present tick still to be refreshed."""
        self.staged: dict[bytes, Applied] = {}
        """Patients of the present tick who are refreshed, to be put in place with the last one."""
        self.staged_day: int | None = None
        self.overtaken: set[bytes] = set()
        """Patients whose state has changed since they were staged."""
        self.noted: tuple[object, ...] = ()
        """What the notes said of code lists when nothing more was to be concluded from it."""

    def count(self, peek: Peek, sign: int = 1) -> None:
        self.tally.count(peek.cells, sign)
        self.objected += sign * peek.objected

    def move(self, applied: Applied) -> None:
        self.tally.replace(applied.before, applied.after)
        self.objected += applied.objected_after - applied.objected_before

    def put_due(self, day: int, patient: bytes) -> None:
        if day < NEVER:
            bucket = self.due.get(day)
            if bucket is None:
                bucket = self.due[day] = set()
            bucket.add(patient)


class Partition:
    def __init__(self, states: PartitionStates, core: Core, *, counted: bool = True) -> None:
        """Count what recovery read, unless the caller goes through ``count`` itself."""
        self.number = states.number
        self.core = core
        self.states = states
        self.evaluations = 0
        self._unsettled: dict[str, Practice] = {}
        self.practices: dict[str, Practice] = {}
        if counted:
            for _ in self.count():
                pass

    def count(self) -> Iterator[None]:
        """Count what recovery read, a patient at a time; evaluates nobody. Patients whose caches do
        not hold for the as-of day are due, and ``work`` brings them up to date."""
        states, core = self.states, self.core
        newest = states.marker.as_of
        for code, stored in states.practices.items():
            practice = self.practices[code] = Practice(code, stored, core)
            for patient, value in stored.patients.items():
                peek = core.peek(value)
                practice.count(peek)
                if peek.cache is not None:
                    practice.put_due(peek.next_change, patient)
                    if newest is None or peek.cache.as_of > newest:
                        newest = peek.cache.as_of
                elif not peek.empty:
                    practice.put_due(NOT_EVALUATED, patient)
                yield
        if newest != states.marker.as_of:
            # a marker can be lost to an older one; no state is ever ahead of the tick
            states.marker = states.marker.join(Marker(as_of=newest))
        if newest is not None:
            unfinished = states.marker.done != newest
            for practice in self.practices.values():
                if unfinished or any(day <= newest for day in practice.due):
                    self._unsettled[practice.code] = practice
                else:
                    practice.day, practice.ticked = newest, states.marker.ticked

    # -- what it is about

    @property
    def marker(self) -> Marker:
        return self.states.marker

    @property
    def as_of(self) -> int | None:
        return self.states.marker.as_of

    @property
    def patients(self) -> int:
        return sum(len(practice.states.patients) for practice in self.practices.values())

    @property
    def settled(self) -> bool:
        """Every tally is true for the as-of day."""
        return not self._unsettled

    def practice(self, code: str) -> Practice:
        found = self.practices.get(code)
        if found is None:
            found = self.practices[code] = Practice(code, self.states.practice(code), self.core)
            found.day, found.ticked = self.as_of, self.marker.ticked
        return found

    def day_of(self, practice: Practice) -> int | None:
        """The day as of which the practice's changes are counted."""
        return self.as_of if practice.day is None else practice.day

    def mark(self, update: Marker) -> Write:
        """Join ``update`` into the marker."""
        self.states.marker = self.states.marker.join(update)
        return Write(marker_key(self.number), encode(self.states.marker))

    # -- changes

    def apply(self, practice: Practice, change: PatientChange) -> Write | None:
        """Take in one patient's part. Raises whatever the core raises, or StateTooLarge, with
        nothing changed."""
        patients = practice.states.patients
        patient = change.patient
        applied = self.core.apply(patients.get(patient), change, self.day_of(practice))
        if len(applied.stored) > MAX_STATE_BYTES:
            raise StateTooLarge(f"a state of {len(applied.stored)} bytes")
        return self._store(practice, patient, applied, new=patient not in patients)

    def rekey(self, practice: Practice, old: bytes, new: bytes, old_source: str) -> list[Write]:
        """Join the patient ``old`` into ``new``; an empty marker stays under the old key."""
        patients = practice.states.patients
        source = patients.get(old)
        if source is None or old == new:
            return []
        applied = self.core.rekey(
            source,
            patients.get(new),
            old_key=old,
            old_source=old_source,
            day=self.day_of(practice),
        )
        left = self.core.peek(source)
        # an objector has no facts, and must not count as one under both keys
        emptied = self.core.empty(source) if left.objected or not left.empty else None
        writes = [self._store(practice, new, applied, new=new not in patients)]
        if emptied is not None:
            writes.append(self._store(practice, old, emptied, new=False))
        return [write for write in writes if write is not None]

    def note(self, practice: Practice, update: Notes) -> bool:
        """Join ``update`` into what is known of a practice's feed; whether that changed anything,
        so that ``notes_of`` must be written."""
        known = practice.states.notes
        notes = known.join(update)
        said = (notes.first, notes.codes, notes.kept)
        if not all(map(is_, said, practice.noted)) or not practice.noted:
            definitions = self.core.definitions
            version = definitions.codes_version
            # under the next list, what is the same in both need not be sent again
            more = notes.seen_under(version, definitions.all_code_hashes, update.first.get(version))
            notes = notes.join(more)
            practice.noted = () if more.kept or more.lost else said
        practice.states.notes = notes
        return notes != known

    def note_change(
        self, practice: Practice, data_through: int, position: int, codes: str, received: int
    ) -> bool:
        """``note`` for a change set. Mostly only time and place are new, which is said cheaply."""
        known = practice.states.notes
        first = known.first.get(codes)
        said = (known.first, known.codes, known.kept)
        nothing_new = practice.noted and all(map(is_, said, practice.noted))
        if nothing_new and (not codes or (first is not None and first <= received)):
            if data_through <= known.data_through and position <= known.position:
                return False
            practice.states.notes = replace(
                known,
                data_through=max(known.data_through, data_through),
                position=max(known.position, position),
            )
            return True
        update = Notes(
            data_through=data_through,
            position=position,
            first={codes: received} if codes else {},
        )
        return self.note(practice, update)

    def notes_of(self, practice: Practice) -> Write:
        """The record of a practice's notes."""
        return Write(notes_key(practice.code), encode(practice.states.notes))

    def _store(
        self, practice: Practice, patient: bytes, applied: Applied, new: bool
    ) -> Write | None:
        practice.move(applied)
        self.evaluations += applied.evaluations
        day = applied.next_change
        practice.put_due(NOT_EVALUATED if self.as_of is None else day, patient)
        if patient in practice.staged:
            practice.overtaken.add(patient)
        if not applied.changed and not new:
            return None
        practice.states.patients[patient] = applied.stored
        return Write(patient_key(practice.code, patient), applied.stored)

    # -- ticks

    def tick(self, day: int, offset: int) -> Write | None:
        """Begin the day ``day``: every practice is unsettled until ``work`` got through it. None
        for a day that is not after the as-of day."""
        if self.as_of is not None and day <= self.as_of:
            return None
        write = self.mark(Marker(as_of=day, ticked=offset))
        self._unsettled.update(self.practices)
        return write

    def work(self, until: float) -> tuple[list[Write], Practice | None, list[Failure]]:
        """Refresh patients who are due, of one practice, until ``time.perf_counter()`` reaches
        ``until``. Returns what to write, and the practice once nobody of it is due any more."""
        as_of = self.as_of
        if as_of is None or not self._unsettled:
            return [], None, []
        practice = next(iter(self._unsettled.values()))
        writes: list[Write] = []
        failures: list[Failure] = []
        if practice.staged_day != as_of:
            # what was staged for a day that is past by now is due again
            practice.pending.extend(practice.staged)
            self._unstage(practice)
            practice.staged_day = as_of
        pending = practice.pending
        self._collect(practice, as_of)
        while pending:
            patient = pending.pop()
            applied = self._refresh(practice, patient, as_of, failures)
            if applied is None:
                continue
            if practice.day is None:
                self._put_in_place(practice, patient, applied, writes)
            else:
                practice.staged[patient] = applied
                practice.overtaken.discard(patient)
            if time.perf_counter() >= until:
                break
        if pending:
            return writes, None, failures
        staged, overtaken = practice.staged, practice.overtaken
        self._unstage(practice)
        for patient, found in staged.items():
            again = patient in overtaken
            applied = self._refresh(practice, patient, as_of, failures) if again else found
            if applied is not None:
                self._put_in_place(practice, patient, applied, writes)
        practice.day, practice.ticked = as_of, self.marker.ticked
        del self._unsettled[practice.code]
        return writes, practice, failures

    def _refresh(
        self, practice: Practice, patient: bytes, day: int, failures: list[Failure]
    ) -> Applied | None:
        stored = practice.states.patients.get(patient)
        if stored is None:
            return None
        try:
            return self.core.refresh(stored, day)
        except Exception as error:
            failures.append(Failure(practice.code, patient, error))
            # it is tried again at the next tick
            practice.put_due(day + 1, patient)
            return None

    def _put_in_place(
        self, practice: Practice, patient: bytes, applied: Applied, writes: list[Write]
    ) -> None:
        write = self._store(practice, patient, applied, new=False)
        if write is not None:
            writes.append(write)

    def _unstage(self, practice: Practice) -> None:
        practice.staged, practice.overtaken = {}, set()

    def _collect(self, practice: Practice, as_of: int) -> None:
        for day in [day for day in practice.due if day <= as_of]:
            practice.pending.extend(practice.due.pop(day))

    # -- figures

    def values(self, practice: Practice) -> list[Write]:
        """All the practice's values as of its day; none while it is true for none. Once the tick is
        through, a function of its states, its notes and the marker alone, so that whoever computes
        them again gets the same bytes."""
        as_of = practice.day
        if as_of is None:
            return []
        definitions = self.core.definitions
        notes = practice.states.notes
        text, through = day_text(as_of), iso_millis(notes.data_through)
        position = Position(self.number, max(notes.position, practice.ticked))
        states = self.value_states(practice)
        return [
            Write(
                value_key(practice.code, indicator),
                encode_value(
                    IndicatorValue(
                        practice=practice.code,
                        indicator=indicator,
                        version=definitions.version_on(indicator, as_of),
                        definitions=definitions.hash_text,
                        state=states.get(indicator, CURRENT),
                        as_of=text,
                        data_through=through,
                        denominator=counts.denominator,
                        numerator=counts.numerator,
                        met=counts.met,
                        miss=counts.miss,
                        exception=counts.exception,
                        excluded=counts.excluded,
                        objected=practice.objected,
                        source=position,
                    )
                ),
            )
            for indicator, counts in zip(definitions.indicators, practice.tally.counts, strict=True)
        ]

    def awaiting(self, practice: Practice) -> frozenset[str]:
        """The indicators that look at codes which the practice's data may lack: it was kept under
        an older code list, and no full submission has ended under this one."""
        definitions, notes = self.core.definitions, practice.states.notes
        version = definitions.codes_version
        return frozenset(
            one
            for one in definitions.indicators
            if not notes.holds(version, definitions.code_hashes(one))
        )

    def value_states(self, practice: Practice) -> dict[str, ValueState]:
        """The states of those indicators that are not ``current``, in the order of their names."""
        if practice.states.notes.held:
            return dict.fromkeys(sorted(self.core.definitions.indicators), REKEYING)
        return dict.fromkeys(sorted(self.awaiting(practice)), AWAITING)

    def snapshot(self, practice: Practice, day: int, key: bytes) -> Iterator[bytes | None]:
        """The body of a release cut's snapshot: None after each patient, the body at the end.

        Its contributions are those that the tally adds up, where ``day`` is the as-of day; for an
        earlier day every patient is evaluated as of it, and nothing of that is kept.
        """
        core = self.core
        found: list[dict[int, tuple[int, int]]] = [{} for _ in core.definitions.indicators]
        gps: set[bytes] = set()
        current = day == self.as_of
        for patient, stored in list(practice.states.patients.items()):
            peek = core.peek(stored)
            if not peek.empty:
                counted = peek.contributions if current else core.refresh(stored, day).after
                gps |= core.gps(stored, day)
                # of several origins everybody takes the first
                origin = origin_hash(key, min(peek.origins, default=patient))
                for place, (_, denominator, numerator) in zip(found, counted, strict=True):
                    if denominator > 0:
                        more = place.get(origin, (0, 0))
                        place[origin] = (more[0] + denominator, more[1] + numerator)
            yield None
        indicators = core.definitions.indicators
        yield build_body(
            {
                indicator: (core.definitions.version_on(indicator, day), place)
                for indicator, place in zip(indicators, found, strict=True)
            },
            gps=len(gps),
            states=self.value_states(practice),
        )

    def absorb(self, key: bytes, value: bytes | None) -> tuple[Write | None, Practice | None]:
        """Join a record that somebody else wrote. Returns what belongs under its key, to be written
        again whatever it is, and the practice whose figures that changed."""
        if value is None or key.startswith(MARKER_SIGN) or key.endswith(MARKER_SIGN):
            if value is None and not self.states.holds(key):
                return None, None
            before = self.as_of
            self.states.read(key, value)
            self.states.joined.discard(key)
            if self.as_of != before:
                # whoever wrote it had begun a day of which we have not read the tick yet
                self._unsettled.update(self.practices)
            return Write(key, self.states.record(key)), None
        code, patient = split_patient_key(key)
        practice = self.practice(code)
        patients = practice.states.patients
        stored = patients.get(patient)
        merged = value if stored is None else self.core.merge(stored, value)
        if merged == stored:
            return Write(key, merged), None
        day = self.day_of(practice)
        if day is not None:
            merged = self.core.refresh(merged, day).stored
        if stored is not None:
            practice.count(self.core.peek(stored), -1)
        peek = self.core.peek(merged)
        practice.count(peek)
        practice.put_due(NOT_EVALUATED if day is None else peek.next_change, patient)
        patients[patient] = merged
        if patient in practice.staged:
            practice.overtaken.add(patient)
        return Write(key, merged), practice

    def rejoined(self) -> Iterable[Write]:
        """Records that recovery joined out of several: to be written once more, since compaction
        keeps only the newest of them."""
        joined, self.states.joined = self.states.joined, set()
        for record in sorted(joined):
            yield Write(record, self.states.record(record))
