"""What a submission changes: pure, from what was read and what the index knows.

The index remembers of every resource which version the log has, and of whom. From that follows
what must be sent: what is unchanged is not sent again, an older version than the known one is not
sent, a fact that moved is deleted from the old patient and given to the new one, and of a patient
who objects nothing is sent at all.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import structs

from peerview_common.changes import PatientChange
from peerview_common.codes import CodeList
from peerview_common.facts import Fact, fact_digest
from peerview_ingest.fhir.collect import newer_version
from peerview_ingest.fhir.objection import Word, objects, without_objection_codes, word_of
from peerview_ingest.fhir.read import Read, content
from peerview_ingest.fhir.registering import registered_otherwise
from peerview_ingest.keyring import FIRST_GENERATION, FIRST_VERSION


class Holder(NamedTuple):
    """A patient who has a fact in the log, and the generation under which it was sent."""

    patient: bytes
    generation: int


@dataclass(frozen=True, slots=True)
class Known:
    """A row of the index: the newest version of a resource."""

    stamp: int
    """As the log has it."""
    version: int
    deleted: bool
    digest: bytes
    content: bytes
    holders: tuple[Holder, ...]
    """Empty where the log has nothing to count of it."""
    codes: str = ""
    """Version of the code list that it was minimised with."""
    raised: int = 0
    """By how many milliseconds ``stamp`` is above what the source said: see ``_above``."""


@dataclass(frozen=True, slots=True)
class PatientState:
    generation: int = FIRST_GENERATION
    objected: bool = False
    reserved: int = 0
    """The greatest generation that was to be sent. When it is above ``generation``, the submission
    ended before it was remembered, and the log may have it or not."""

    @property
    def uncertain(self) -> bool:
        return self.reserved > self.generation

    def next(self, objected: bool) -> "PatientState":
        """The state of a generation above all that the log may have."""
        generation = max(self.generation, self.reserved) + 1
        return PatientState(generation, objected, generation)


class Pair(NamedTuple):
    """One patient under the practice's former keys and under its new ones."""

    old: bytes
    new: bytes
    by_id: bool
    """Matched by the same id of the same source system; else by the NHS number."""


@dataclass
class Knowledge:
    """What the index says about the resources and patients of one submission."""

    rows: dict[bytes, Known] = field(default_factory=dict)
    patients: dict[bytes, PatientState] = field(default_factory=dict)
    words: dict[bytes, dict[bytes, Word]] = field(default_factory=dict)
    """Of each patient: what their facts say of an objection, by fact key."""
    persons: dict[bytes, set[bytes]] = field(default_factory=dict)
    """Patients by the keyed hash of their NHS number."""
    first_generation: int = FIRST_GENERATION
    """Of patients whom the index has no state of."""
    pairs: list[Pair] = field(default_factory=list)
    """Patients who were recognised as those of the former keys."""
    told: dict[bytes, dict[bytes, Word | None]] = field(default_factory=dict)
    """Of patients: words that no resource of the submission says (set, or carried over); None for
    one that is taken back."""

    def state(self, patient: bytes) -> PatientState:
        return self.patients.get(patient) or PatientState(self.first_generation)


@dataclass
class Plan:
    """What to send, and what to remember once it is acknowledged."""

    codes: str = ""
    """Version of the code list in use."""
    changes: list[PatientChange] = field(default_factory=list)
    """Patients between whom a fact moved come first, next to each other."""
    rows: dict[bytes, Known] = field(default_factory=dict)
    patients: dict[bytes, PatientState] = field(default_factory=dict)
    words: dict[bytes, tuple[bytes, Word] | None] = field(default_factory=dict)
    """By fact key: whose and what it says; None where it says nothing any more."""
    persons: dict[bytes, bytes] = field(default_factory=dict)
    """NHS number hashes by patient."""
    pairs: list[Pair] = field(default_factory=list)
    objected: list[bytes] = field(default_factory=list)
    """Patients who object from now on: the index forgets what it knows of them."""
    opted_in: list[bytes] = field(default_factory=list)
    """Patients who no longer object: everything about them must be sent again."""
    unchanged: int = 0
    superseded: int = 0
    duplicates: list[str] = field(default_factory=list)
    """Places of patients who share an NHS number with another patient."""
    raised: dict[bytes, int] = field(default_factory=dict)
    """Of facts whose stamp was raised: by how many milliseconds."""
    facts: int = 0


def fact_hash(practice: str, source: str, fact: Fact, version: int = FIRST_VERSION) -> bytes:
    """The index's key of a resource under a version of the practice's keys: 16 bytes."""
    under = "" if version == FIRST_VERSION else f"\0{version}\0"
    text = f"{under}{practice}\0{source}\0{fact.type}\0".encode() + fact.id
    return hashlib.sha256(text).digest()[:16]


def newest_reads(
    practice: str, source: str, reads: Iterable[Read], version: int = FIRST_VERSION
) -> dict[bytes, Read]:
    """Of each resource the version that counts among those of one submission."""
    newest: dict[bytes, Read] = {}
    for read in reads:
        if read.fact is None:
            continue
        key = fact_hash(practice, source, read.fact, version)
        other = newest.get(key)
        if other is not None and other.fact is not None:
            mine, theirs = (read.fact, read.patients), (other.fact, other.patients)
            if newer_version(theirs, mine) == theirs:
                continue
        newest[key] = read
    return newest


def make_plan(codes: CodeList, newest: Mapping[bytes, Read], known: Knowledge) -> Plan:
    plan = Plan(codes.version, pairs=list(known.pairs))
    fresh = _fresh(plan, newest, known)
    _objections(plan, codes, fresh, known)
    outgoing: dict[bytes, list[Fact]] = {}
    moved: dict[bytes, None] = {}
    for key, read in fresh.items():
        _send(plan, codes, key, read, known, outgoing, moved)
    order = [*moved, *(patient for patient in outgoing if patient not in moved)]
    order.extend(patient for patient in plan.objected if patient not in outgoing)
    order.extend(patient for patient in plan.opted_in if patient not in outgoing)
    for patient in order:
        state = _state(plan, known, patient)
        facts = outgoing.get(patient, [])
        plan.facts += len(facts)
        plan.changes.append(PatientChange(patient, state.generation, state.objected, facts))
    for read in newest.values():
        if read.person is not None:
            _person(plan, read, known)
    return plan


def _state(plan: Plan, known: Knowledge, patient: bytes) -> PatientState:
    return plan.patients.get(patient) or known.state(patient)


def _fresh(plan: Plan, newest: Mapping[bytes, Read], known: Knowledge) -> dict[bytes, Read]:
    """The reads that say something new."""
    fresh: dict[bytes, Read] = {}
    for key, read in newest.items():
        row, fact = known.rows.get(key), read.fact
        assert fact is not None  # noqa: S101 - newest_reads keeps no other
        if row is None:
            fresh[key] = read
            continue
        mine = (fact.stamp, fact.version, fact.deleted)
        theirs = (row.stamp - row.raised, row.version, row.deleted)
        same_holders = _same_holders(read, row, known)
        if mine < theirs:
            plan.superseded += 1
        elif not read.stamped and row.content == content(read)[:16] and same_holders:
            # its time is only that of receipt: no news, but later than what comes in between
            plan.unchanged += 1
            plan.rows[key] = _row(plan, key, read, row.holders)
        elif mine > theirs:
            fresh[key] = _above(plan, key, read, row) if row.raised else read
        else:
            digest = fact_digest(fact)
            if digest == row.digest and same_holders:
                plan.unchanged += 1
            elif digest != row.digest and (
                row.codes != plan.codes
                or (read.informed and registered_otherwise(fact, row.digest))
            ):
                fresh[key] = _above(plan, key, read, row)
            elif digest < row.digest or (digest == row.digest and _lesser(read, row, known)):
                plan.superseded += 1
            elif row.raised or not same_holders:
                # its new patient may have had it before, and the deletion of this very version
                # that took it away would win
                fresh[key] = _above(plan, key, read, row)
            else:
                fresh[key] = read
    return fresh


def _above(plan: Plan, key: bytes, read: Read, row: Known) -> Read:
    """The read with a stamp that beats what the log has of it.

    The same version read with another code list, or with other organisations known, says something
    else, and between equal versions compute would go by their hashes: half of what is sent again
    would lose.
    So it is sent as a millisecond later than what it replaces.
    """
    fact = read.fact
    assert fact is not None  # noqa: S101 - newest_reads keeps no other
    if (fact.stamp, fact.version, fact.deleted) > (row.stamp, row.version, row.deleted):
        return read
    stamp = row.stamp + 1
    plan.raised[key] = stamp - fact.stamp
    return structs.replace(read, fact=structs.replace(fact, stamp=stamp))


def _same_holders(read: Read, row: Known, known: Knowledge) -> bool:
    """Whether the log has the fact at exactly the patients whose it is."""
    fact = read.fact
    wanted = set()
    if fact is not None and fact.body is not None:
        wanted = {p for p in read.patients if not known.state(p).objected}
    return wanted == {
        holder.patient
        for holder in row.holders
        if known.state(holder.patient).generation == holder.generation
    }


def _lesser(read: Read, row: Known, known: Knowledge) -> bool:
    """Equal versions of two patients: the greater key has it, whichever came first."""
    current = sorted(
        holder.patient
        for holder in row.holders
        if known.state(holder.patient).generation == holder.generation
    )
    return (
        bool(current)
        and not set(read.patients) & set(current)
        and (sorted(read.patients) < current)
    )


def _row(plan: Plan, key: bytes, read: Read, holders: Sequence[Holder]) -> Known:
    fact, raised = read.fact, plan.raised.get(key, 0)
    assert fact is not None  # noqa: S101 - newest_reads keeps no other
    as_given = structs.replace(fact, stamp=fact.stamp - raised) if raised else fact
    return Known(
        fact.stamp,
        fact.version,
        fact.deleted,
        fact_digest(as_given),
        content(read)[:16],
        tuple(holders),
        plan.codes,
        raised,
    )


def _objections(plan: Plan, codes: CodeList, fresh: Mapping[bytes, Read], known: Knowledge) -> None:
    """Who objects after this submission, and who no longer does."""
    before = {key: patient for patient, words in known.words.items() for key in words}
    after = {patient: dict(words) for patient, words in known.words.items()}
    touched: dict[bytes, None] = {}
    for key, read in fresh.items():
        word = word_of(codes, read.fact) if read.fact is not None else None
        if key in before:
            touched[before[key]] = None
            after[before[key]].pop(key, None)
            plan.words[key] = None
        if word is not None:
            for patient in read.patients:
                touched[patient] = None
                after.setdefault(patient, {})[key] = word
                plan.words[key] = (patient, word)
    for patient, told in known.told.items():
        for key, word in told.items():
            mine = after.setdefault(patient, {})
            if word is None:
                mine.pop(key, None)
                plan.words[key] = None
            else:
                mine[key] = word
                plan.words[key] = (patient, word)
            touched[patient] = None
    # who objects, and of whom the log may say otherwise, is told once more
    touched.update(
        (who, None) for who, state in known.patients.items() if state.uncertain and state.objected
    )
    for patient in touched:
        state = _state(plan, known, patient)
        objected = objects(after.get(patient, {}).values())
        if objected != state.objected or state.uncertain:
            plan.patients[patient] = state.next(objected)
            (plan.objected if objected else plan.opted_in).append(patient)


def _send(
    plan: Plan,
    codes: CodeList,
    key: bytes,
    read: Read,
    known: Knowledge,
    outgoing: dict[bytes, list[Fact]],
    moved: dict[bytes, None],
) -> None:
    row, fact = known.rows.get(key), read.fact
    assert fact is not None  # noqa: S101 - newest_reads keeps no other
    had = {
        holder.patient
        for holder in (row.holders if row else ())
        if _state(plan, known, holder.patient).generation == holder.generation
    }
    public = without_objection_codes(codes, fact)
    wanted = [
        patient
        for patient in (read.patients if public.body is not None else ())
        if not _state(plan, known, patient).objected
    ]
    for patient in wanted:
        outgoing.setdefault(patient, []).append(public)
    gone = sorted(had - set(wanted))
    for patient in gone:
        same = patient in read.patients or not wanted
        void = Fact(fact.type, fact.id, fact.stamp, fact.version, fact.source, True, None)
        if same and public.body is None:
            void = public
        outgoing.setdefault(patient, []).append(void)
    if gone and wanted:
        moved.update(dict.fromkeys([*gone, *wanted]))
    holders = [Holder(p, _state(plan, known, p).generation) for p in wanted]
    objecting = public.body is not None and len(wanted) < len(read.patients)
    if not objecting or holders or key in plan.words or row is not None:
        plan.rows[key] = _row(plan, key, read, holders)


def _person(plan: Plan, read: Read, known: Knowledge) -> None:
    patient, person = read.patients[0], read.person
    assert person is not None  # noqa: S101 - asked by the caller
    others = known.persons.setdefault(person, set())
    if others - {patient}:
        plan.duplicates.append(read.place)
    others.add(patient)
    plan.persons[patient] = person
