"""Ingest's own database: what the log has of every resource, and of whom.

Everything is keyed and written in few statements a submission. It is written only after the log's
acknowledgement, so what it says is never ahead of the log; losing its last moments (SQLite without
a sync for each commit) means sending something twice, which changes nothing.
"""

import contextlib
import hashlib
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from msgspec import json
from sqlalchemy import (
    Connection,
    Row,
    delete,
    func,
    insert,
    select,
    text,
    update,
)

from peerview_ingest import statements
from peerview_ingest.database import make_engine
from peerview_ingest.fhir.objection import Word
from peerview_ingest.keyring import PracticeKeys
from peerview_ingest.plan import Holder, Knowledge, Known, PatientState, Plan
from peerview_ingest.tables import (
    audit,
    extract_facts,
    facts,
    idempotency_keys,
    objection_words,
    organisations,
    patients,
    rekeyed_patients,
)

CHUNK: Final = 500
"""Keys in one IN list: SQLite's oldest limit on parameters is 999."""
IDEMPOTENCY_MS: Final = 7 * 86_400_000
MAX_SUBJECT: Final = 200
HOLDER: Final = struct.Struct(">16sI")

T = TypeVar("T")


class Store:
    """Opens a ``Turn`` for each submission. Thread-safe.

    Brings the database to its newest form first, unless somebody did (``migrated``)."""

    def __init__(self, url: str, *, migrated: bool = False) -> None:
        self.engine = make_engine(url)
        self._single_writer = (
            threading.Lock() if self.engine.dialect.name == "sqlite" else contextlib.nullcontext()
        )
        if not migrated:
            # loaded only where it is used: it takes some 7 MB
            from peerview_ingest.migrating import migrate

            migrate(self.engine)

    def close(self) -> None:
        self.engine.dispose()

    def check(self) -> None:
        """Raises when the database does not answer."""
        with self.engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction outside any practice's turn."""
        with self._single_writer, self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def turn(self, practice: str, source: str) -> Iterator["Turn"]:
        """A practice's turn: on PostgreSQL no other replica has one of the same practice."""
        with self.engine.connect() as connection:
            lock = int.from_bytes(hashlib.sha256(practice.encode()).digest()[:8], signed=True)
            shared = self.engine.dialect.name == "postgresql"
            if shared:
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": lock})
                connection.commit()
            try:
                yield Turn(connection, practice, source, self._single_writer)
            finally:
                connection.rollback()
                if shared:
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": lock})
                    connection.commit()


class Turn:
    """One submission's reads and its one write. ``keys`` are the practice's; whoever opens the turn
    looks them up (``key_versions.keys_of``)."""

    def __init__(
        self,
        connection: Connection,
        practice: str,
        source: str,
        single_writer: contextlib.AbstractContextManager[Any],
    ) -> None:
        self.connection = connection
        self.practice = practice
        self.keys = PracticeKeys()
        self._source = source
        self._single_writer = single_writer
        self._dialect = connection.engine.dialect.name

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction of its own."""
        self.connection.rollback()
        with self._single_writer, self.connection.begin():
            yield self.connection

    def last_received(self) -> int:
        """When the practice's last submission was received, in milliseconds; 0 for none."""
        asked = self.connection.execute(statements.LAST_RECEIVED, {"practice": self.practice})
        return asked.scalar_one() or 0

    def organisations(self) -> dict[str, str]:
        """ODS codes of organisations received before, by id."""
        of = {"practice": self.practice, "source": self._source}
        return {row.id: row.ods for row in self.connection.execute(statements.ORGANISATIONS, of)}

    def knowledge(
        self, keys: Sequence[bytes], concerned: Iterable[bytes], persons: Iterable[bytes]
    ) -> Knowledge:
        """What the index says about these resources, patients and NHS number hashes."""
        known = Knowledge(first_generation=self.keys.current.first_generation)
        people = set(concerned)
        ask = self.connection.execute
        for part in chunks(keys):
            found = ask(statements.FACTS, {"keys": part})
            for key, stamp, version, deleted, digest, content, packed, codes, raised in found:
                holders = tuple(Holder(*each) for each in HOLDER.iter_unpack(packed))
                known.rows[key] = Known(
                    stamp, version, deleted, digest, content, holders, codes, raised
                )
                people.update(holder.patient for holder in holders)
            people.update(ask(statements.WORDED, {"keys": part}).scalars())
        for part in chunks(sorted(people)):
            for key, *state in ask(statements.PATIENTS, {"keys": part}):
                known.patients[key] = PatientState(*state)
            for row in ask(statements.WORDS, {"keys": part}):
                word = Word(row.day, row.dissent, row.withdrawn, row.kind)
                known.words.setdefault(row.patient, {})[row.fact] = word
        for part in chunks(sorted(set(persons))):
            for key, person in ask(statements.PERSONS, {"keys": part}):
                known.persons.setdefault(person, set()).add(key)
        self.connection.rollback()  # no read transaction stays open while the log is written
        return known

    def reserve(self, plan: Plan) -> None:
        """Note the generations that are about to be sent: should this be all that is remembered,
        the next ones go above them."""
        rows = [self._patient_row(key, None, state) for key, state in plan.patients.items()]
        if rows:
            with self.writing():
                self._upsert(patients, "key", rows, only=("reserved",))

    def list_patients(self, keys: Sequence[bytes]) -> None:
        """Give patients a row who have none yet."""
        rows = [self._patient_row(key, None, None) for key in keys]
        if rows:
            with self.writing() as connection:
                connection.execute(statements.listed(self._dialect, patients), rows)

    def commit(
        self,
        plan: Plan,
        given: dict[str, str],
        data_through: int | None,
        answer: "Answer | None" = None,
        also: Callable[[Connection], None] | None = None,
    ) -> None:
        """Remember what was acknowledged, in one transaction. ``data_through`` is None for what
        says nothing of the feed. ``also`` writes in the same one, and nothing of it is remembered
        where that raises."""
        with self.writing():
            if also is not None:
                also(self.connection)
            self._forget(plan)
            self._upsert(facts, "key", [self._fact_row(k, r) for k, r in plan.rows.items()])
            self._upsert_patients(plan)
            words = [
                {
                    "fact": key,
                    "patient": said[0],
                    "day": said[1].day,
                    "dissent": said[1].dissent,
                    "withdrawn": said[1].withdrawn,
                    "kind": int(said[1].origin),
                }
                for key, said in plan.words.items()
                if said is not None
            ]
            self._upsert(objection_words, "fact", words)
            pairs = [{**pair._asdict(), "practice": self.practice} for pair in plan.pairs]
            self._upsert(rekeyed_patients, "old", pairs, only=("new", "by_id"))
            places = [
                {"practice": self.practice, "source": self._source, "id": key[:200], "ods": ods}
                for key, ods in given.items()
            ]
            self._upsert(organisations, "practice,source,id", places)
            if data_through is not None:
                self._sourced(data_through, plan.codes)
            if answer is not None:
                self._remember(answer)

    def _sourced(self, data_through: int, codes: str) -> None:
        row = {
            "practice": self.practice,
            "source": self._source,
            "data_through": data_through,
            "first_codes": codes,
            "key_version": self.keys.current.version,
        }
        self.connection.execute(statements.sourced(self._dialect), row)

    def _fact_row(self, key: bytes, row: Known) -> dict[str, Any]:
        return {
            "key": key,
            "practice": self.practice,
            "stamp": row.stamp,
            "version": row.version,
            "deleted": row.deleted,
            "digest": row.digest,
            "content": row.content,
            "holders": b"".join(HOLDER.pack(*holder) for holder in row.holders),
            "codes": row.codes,
            "raised": row.raised,
            "key_version": self.keys.current.version,
        }

    def _forget(self, plan: Plan) -> None:
        self._forget_facts(plan.objected)
        gone = [key for key, said in plan.words.items() if said is None]
        for part in chunks(gone):
            self.connection.execute(delete(objection_words).where(objection_words.c.fact.in_(part)))

    def _forget_facts(self, of: Iterable[bytes]) -> None:
        for patient in of:
            after = (int.from_bytes(patient) + 1).to_bytes(len(patient) + 1)[1:]
            rows = facts.c.holders >= patient
            if any(after):
                rows &= facts.c.holders < after
            # a row that others share stays: it is stale by its generation
            only = func.length(facts.c.holders) == HOLDER.size
            self.connection.execute(delete(facts).where(rows & only))
            self.connection.execute(delete(extract_facts).where(extract_facts.c.patient == patient))

    def erase(self, states: Mapping[bytes, PatientState], former: Sequence[bytes]) -> None:
        """Forget all of these patients but the state that they are in from now on, and of those
        under former keys that too. An objection stays."""
        objecting = {key for key, state in states.items() if state.objected}
        with self.writing() as connection:
            self._forget_facts([*states, *former])
            forgotten = [*(set(states) - objecting), *former]
            for part in chunks(forgotten):
                words = objection_words.c.patient.in_(part)
                connection.execute(delete(objection_words).where(words))
            for part in chunks(former):
                connection.execute(delete(rekeyed_patients).where(rekeyed_patients.c.old.in_(part)))
                connection.execute(delete(patients).where(patients.c.key.in_(part)))
            for part in chunks(list(states)):
                nobody = update(patients).where(patients.c.key.in_(part)).values(person=None)
                connection.execute(nobody)
            self._upsert_patients(Plan(patients=dict(states)))

    def note(self, subject: str, action: str, count: int, at: int) -> None:
        """Keep who asked for how many patients; never for which."""
        row = {
            "at": at,
            "practice": self.practice,
            "subject": subject[:MAX_SUBJECT],
            "action": action,
            "patients": count,
        }
        with self.writing() as connection:
            connection.execute(insert(audit).values(**row))

    def _upsert_patients(self, plan: Plan) -> None:
        persons = [self._patient_row(key, person, None) for key, person in plan.persons.items()]
        self._upsert(patients, "key", persons, only=("person",))
        states = [
            {
                **self._patient_row(key, None, state),
                "generation": state.generation,
                "objected": state.objected,
            }
            for key, state in plan.patients.items()
        ]
        self._upsert(patients, "key", states, only=("generation", "objected", "reserved"))

    def _patient_row(
        self, key: bytes, person: bytes | None, state: PatientState | None
    ) -> dict[str, Any]:
        """As a patient begins: of the state, what is reserved alone."""
        return {
            "key": key,
            "practice": self.practice,
            "generation": self.keys.current.first_generation,
            "objected": False,
            "reserved": state.reserved if state else 0,
            "person": person,
            "key_version": self.keys.current.version,
        }

    def _upsert(
        self, table: Any, keys: str, rows: list[dict[str, Any]], only: Sequence[str] = ()
    ) -> None:
        if not rows:
            return
        names = tuple(keys.split(","))
        changed = tuple(only or (name for name in rows[0] if name not in names))
        self.connection.execute(statements.upsert(self._dialect, table, names, changed), rows)

    def answer(self, key: bytes) -> "Answer | None":
        """What was answered to a request that carried this idempotency key."""
        query = select(idempotency_keys).where(
            idempotency_keys.c.practice == self.practice, idempotency_keys.c.key == key
        )
        row = self.connection.execute(query).first()
        self.connection.rollback()
        return None if row is None else Answer.of(row)

    def _remember(self, answer: "Answer") -> None:
        old = idempotency_keys.c.at < answer.at - IDEMPOTENCY_MS
        self.connection.execute(delete(idempotency_keys).where(old))
        row = {
            "practice": self.practice,
            "key": answer.key,
            "request": answer.request,
            "status": answer.status,
            "answer": answer.text,
            "at": answer.at,
            "headers": json.encode(answer.headers).decode(),
        }
        self._upsert(idempotency_keys, "practice,key", [row])


class Answer:
    """An answer kept for a week, for a request sent again under the same idempotency key."""

    __slots__ = ("at", "headers", "key", "request", "status", "text")

    def __init__(
        self,
        key: bytes,
        request: bytes,
        status: int,
        text: str,
        at: int,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.key, self.request, self.status, self.text, self.at = key, request, status, text, at
        self.headers = dict(headers or {})

    @classmethod
    def of(cls, row: Row[Any]) -> "Answer":
        """Of a row of ``idempotency_keys``."""
        return cls(row.key, row.request, row.status, row.answer, row.at, json.decode(row.headers))


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
