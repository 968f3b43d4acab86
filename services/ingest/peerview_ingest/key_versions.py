"""The versions of practices' keys in the database, and what a re-keying looks up and clears away.

Every function takes a ``Turn``: nobody else works on the practice meanwhile.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import delete, exists, func, insert, select, update

from peerview_common.changes import PatientChange
from peerview_ingest import statements
from peerview_ingest.fhir.objection import Word
from peerview_ingest.keyring import FIRST_GENERATION, FIRST_VERSION, KeyVersion, PracticeKeys
from peerview_ingest.plan import Pair, PatientState, Plan
from peerview_ingest.rekeying import UNDER_WAY, Candidates, Former, Phase
from peerview_ingest.store import HOLDER, Turn, chunks
from peerview_ingest.tables import (
    extract_facts,
    facts,
    key_versions,
    objection_words,
    organisations,
    patients,
    rekeyed_patients,
    sources,
)

RANGES: Final = 256
"""The index is gone through in so many parts, each a short transaction. Divides 256."""

_columns = key_versions.c


@dataclass(frozen=True)
class Rekeying:
    """A version of a practice's keys as the operator sees it."""

    keys: KeyVersion
    phase: Phase
    began: int
    ended: int | None
    joined: int
    """Former patients who are joined into new ones already."""
    emptied: int
    """Former patients whom nobody matched, and who are emptied already."""


def keys_of(turn: Turn, master: bytes, now: int) -> PracticeKeys:
    """The practice's keys, which the turn then works with. A practice that comes for the first time
    gets its first version, of the master key with the fingerprint ``master``."""
    usable = [each for each in versions(turn) if each.phase in (*UNDER_WAY, Phase.DONE)]
    if not usable:
        add(turn, KeyVersion(FIRST_VERSION, master, FIRST_GENERATION), Phase.DONE, now)
        usable = [each for each in versions(turn) if each.phase is Phase.DONE]
    former = usable[-2].keys if usable[-1].phase in UNDER_WAY else None
    turn.keys = PracticeKeys(usable[-1].keys, former)
    return turn.keys


def current(practice: str) -> Any:
    """The version in use, as SQL: for what is asked outside a turn."""
    usable = _columns.phase.in_([*UNDER_WAY, Phase.DONE.value])
    newest = select(func.max(_columns.version)).where(_columns.practice == practice, usable)
    return func.coalesce(newest.scalar_subquery(), FIRST_VERSION)


def versions(turn: Turn) -> list[Rekeying]:
    """All versions that there ever were, in their order."""
    rows = turn.connection.execute(statements.KEY_VERSIONS, {"practice": turn.practice}).all()
    return [
        Rekeying(
            KeyVersion(row.version, row.master, row.first_generation),
            Phase(row.phase),
            row.began,
            row.ended,
            row.joined,
            row.emptied,
        )
        for row in rows
    ]


def add(turn: Turn, keys: KeyVersion, phase: Phase, now: int) -> None:
    with turn.writing() as connection:
        connection.execute(
            insert(key_versions).values(
                practice=turn.practice,
                version=keys.version,
                master=keys.master,
                first_generation=keys.first_generation,
                phase=phase.value,
                began=now,
                ended=now if phase is Phase.DONE else None,
            )
        )


def enter(turn: Turn, version: int, phase: Phase, ended: int | None = None) -> None:
    """Put a version into a phase."""
    with turn.writing() as connection:
        connection.execute(
            update(key_versions)
            .where(_columns.practice == turn.practice, _columns.version == version)
            .values(phase=phase.value, ended=ended)
        )


def highest_generation(turn: Turn) -> int:
    """Of all the practice's patients, sent or about to be."""
    query = select(func.max(patients.c.generation), func.max(patients.c.reserved)).where(
        patients.c.practice == turn.practice
    )
    row = turn.connection.execute(query).one()
    turn.connection.rollback()
    return max(row[0] or FIRST_GENERATION, row[1] or 0)


def list_patients(turn: Turn) -> None:
    """Give everybody of whom the log has a fact a row: the table of patients has only those with
    an NHS number or a state of their own, as rows cost time at every submission."""
    for low, high in _ranges():
        query = select(facts.c.holders).where(
            facts.c.key >= low,
            facts.c.practice == turn.practice,
            facts.c.key_version == turn.keys.current.version,
            *([facts.c.key < high] if high else []),
        )
        found: dict[bytes, None] = {}
        for row in turn.connection.execute(query):
            found.update((patient, None) for patient, _ in HOLDER.iter_unpack(row.holders))
        turn.connection.rollback()
        turn.list_patients(list(found))


def former_patients(turn: Turn, version: int, looked_for: Candidates) -> Former:
    """What the index knows of ``looked_for`` under the former version."""
    former = Former()
    ask = turn.connection.execute
    here = (patients.c.practice == turn.practice, patients.c.key_version == version)
    objecting: list[bytes] = []

    def take(row: Any) -> None:
        if row.key not in former.patients:
            former.patients.add(row.key)
            if row.objected:
                objecting.append(row.key)

    for part in chunks(sorted(set(looked_for.by_id.values()))):
        for row in ask(select(patients).where(patients.c.key.in_(part), *here)):
            take(row)
    for part in chunks(sorted(set(looked_for.by_number.values()))):
        for row in ask(select(patients).where(patients.c.person.in_(part), *here)):
            take(row)
            former.persons.setdefault(row.person, set()).add(row.key)
    for part in chunks(sorted(former.patients)):
        for row in ask(select(rekeyed_patients).where(rekeyed_patients.c.old.in_(part))):
            former.pairs[row.old] = Pair(row.old, row.new, row.by_id)
    for part in chunks(objecting):
        for row in ask(select(objection_words).where(objection_words.c.patient.in_(part))):
            word = Word(row.day, row.dissent, row.withdrawn, row.kind)
            former.words.setdefault(row.patient, {})[row.fact] = word
    turn.connection.rollback()
    return former


def object_formerly(turn: Turn, plan: Plan) -> None:
    """Empty those who object from now on under their former keys as well."""
    olds = {pair.old for pair in plan.pairs if pair.new in plan.objected}
    ask = turn.connection.execute
    for part in chunks(plan.objected):
        query = select(rekeyed_patients.c.old).where(rekeyed_patients.c.new.in_(part))
        olds.update(row.old for row in ask(query))
    for part in chunks(sorted(olds)):
        for row in ask(select(patients).where(patients.c.key.in_(part))):
            if not row.objected:
                state = PatientState(row.generation, row.objected, row.reserved).next(True)
                plan.patients[row.key] = state
                plan.changes.append(PatientChange(row.key, state.generation, True, []))
    turn.connection.rollback()


def counts(turn: Turn, former: int) -> tuple[int, int]:
    """``(matched, unmatched)`` of the former patients who are neither joined nor emptied yet."""
    pairs = select(func.count()).where(rekeyed_patients.c.practice == turn.practice)
    left = select(func.count()).where(_of(turn, former), ~_paired())
    found = turn.connection.execute(pairs).scalar_one(), turn.connection.execute(left).scalar_one()
    turn.connection.rollback()
    return found


def pairs_left(turn: Turn, most: int) -> list[tuple[Pair, PatientState]]:
    """Pairs still to be joined, with the state of the new patient."""
    query = (
        select(rekeyed_patients, patients.c.generation, patients.c.objected)
        .select_from(rekeyed_patients.outerjoin(patients, patients.c.key == rekeyed_patients.c.new))
        .where(rekeyed_patients.c.practice == turn.practice)
        .order_by(rekeyed_patients.c.old)
        .limit(most)
    )
    first = turn.keys.current.first_generation
    found = [
        (
            Pair(row.old, row.new, row.by_id),
            PatientState(row.generation or first, bool(row.objected)),
        )
        for row in turn.connection.execute(query)
    ]
    turn.connection.rollback()
    return found


def unmatched_left(turn: Turn, former: int, most: int) -> list[tuple[bytes, PatientState]]:
    """Former patients whom nobody matched."""
    query = (
        select(patients).where(_of(turn, former), ~_paired()).order_by(patients.c.key).limit(most)
    )
    found = [
        (row.key, PatientState(row.generation, row.objected, row.reserved))
        for row in turn.connection.execute(query)
    ]
    turn.connection.rollback()
    return found


def drop_former(turn: Turn, old: Sequence[bytes], *, joined: int = 0, emptied: int = 0) -> None:
    """Forget former patients, of whom the log has been told."""
    with turn.writing() as connection:
        for part in chunks(old):
            connection.execute(delete(rekeyed_patients).where(rekeyed_patients.c.old.in_(part)))
            connection.execute(delete(objection_words).where(objection_words.c.patient.in_(part)))
            connection.execute(delete(patients).where(patients.c.key.in_(part)))
        connection.execute(
            update(key_versions)
            .where(
                _columns.practice == turn.practice,
                _columns.version == turn.keys.current.version,
            )
            .values(joined=_columns.joined + joined, emptied=_columns.emptied + emptied)
        )


def drop_former_facts(turn: Turn, former: int) -> Iterator[None]:
    """Forget which facts the log had under the former keys, a part of the index at a time."""
    for low, high in _ranges():
        with turn.writing() as connection:
            for table in (facts, extract_facts):
                connection.execute(
                    delete(table).where(
                        table.c.key >= low,
                        table.c.practice == turn.practice,
                        table.c.key_version <= former,
                        *([table.c.key < high] if high else []),
                    )
                )
        yield


def drop_former_sources(turn: Turn, former: int) -> None:
    """Forget source systems of which nothing has come under the new keys: they send no more, and
    no back-fill waits for them."""
    with turn.writing() as connection:
        gone = (sources.c.practice == turn.practice) & (sources.c.key_version <= former)
        names = select(sources.c.source).where(gone)
        theirs = organisations.c.source.in_(names)
        connection.execute(
            delete(organisations).where(organisations.c.practice == turn.practice, theirs)
        )
        connection.execute(delete(sources).where(gone))


def anything_under(turn: Turn, version: int) -> bool:
    """Whether anything was sent under this version."""
    fact = select(facts.c.key).where(
        facts.c.practice == turn.practice, facts.c.key_version == version
    )
    who = select(patients.c.key).where(_of(turn, version))
    found = turn.connection.execute(select(exists(fact) | exists(who))).scalar_one()
    turn.connection.rollback()
    return bool(found)


def _of(turn: Turn, version: int) -> Any:
    return (patients.c.practice == turn.practice) & (patients.c.key_version == version)


def _paired() -> Any:
    return exists(select(rekeyed_patients.c.old).where(rekeyed_patients.c.old == patients.c.key))


def _ranges() -> Iterator[tuple[bytes, bytes | None]]:
    step = 256 // RANGES
    for first in range(0, 256, step):
        yield bytes([first]), bytes([first + step]) if first + step < 256 else None
