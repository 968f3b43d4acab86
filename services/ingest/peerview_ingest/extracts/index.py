"""What ingest's database remembers of drops: which there were, and which record each last held.

Marks are written in the transaction that remembers a group of rows, so they are never ahead of the
log and never behind the index of facts."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, and_, case, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from peerview_ingest import key_versions
from peerview_ingest.extracts.versions import Mark, Settled, Standing, Version
from peerview_ingest.store import Store, chunks
from peerview_ingest.tables import extract_facts, extracts, facts, patients, sources

TAKING: Final = "taking"
COMPLETE: Final = "complete"
INCOMPLETE: Final = "incomplete"
"""It ended in an error, or was cut off, after rows of it had been taken."""
REFUSED: Final = "refused"
"""It ended in an error before any row was taken."""
HELD: Final = "held"
CONFIRMED: Final = "confirmed"
"""A held one that somebody confirmed, and whose deletions are being carried out."""
REJECTED: Final = "rejected"
SUPERSEDED: Final = "superseded"
"""A held one that a later one has replaced."""

WHOLE: Final = (COMPLETE, HELD, CONFIRMED, SUPERSEDED)
"""States of full drops of which every row was taken, and which nobody has rejected."""

FULL: Final = "full"
DELTA: Final = "delta"
LISTED: Final = 200


@dataclass(frozen=True, slots=True)
class Begun:
    """A new drop, and where it stands among those of its source."""

    run: int
    newest: bool
    after_full: bool
    through: int
    """Milliseconds UTC up to which the feed was known to be whole; 0 for a new one."""


@dataclass(frozen=True, slots=True)
class Vanished:
    """Of one kind of record: how many the newest full drop no longer has."""

    records: int
    of: int
    patients: int
    """Patients of whom none is left."""
    of_patients: int


class DropIndex:
    """Statements about drops. All block; those that take no connection are one transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store
        dialect = store.engine.dialect.name
        self._insert = (sqlite if dialect == "sqlite" else postgresql).insert

    # -- drops

    def begin(
        self, practice: str, source: str, day: int, mode: str, mapping: str, codes: str, now: int
    ) -> Begun:
        """Note a new drop; any of the source that is being taken is given up."""
        mine = _of(practice, source)
        with self._store.writing() as connection:
            ended = update(extracts).where(mine, extracts.c.state == TAKING)
            connection.execute(ended.values(state=INCOMPLETE, ended=now))
            said = and_(mine, extracts.c.state != REFUSED)
            latest = connection.scalar(select(func.max(extracts.c.day)).where(said))
            full = and_(mine, extracts.c.mode == FULL, extracts.c.state.in_(WHOLE))
            last_full = connection.scalar(select(func.max(extracts.c.day)).where(full))
            row = {
                "practice": practice,
                "source": source,
                "day": day,
                "mode": mode,
                "state": TAKING,
                "mapping": mapping,
                "codes": codes,
                "began": now,
                "report": "{}",
            }
            (run,) = connection.execute(extracts.insert().values(row)).inserted_primary_key or (0,)
            feed = and_(sources.c.practice == practice, sources.c.source == source)
            through = connection.scalar(select(sources.c.data_through).where(feed))
        newest = latest is None or day >= latest
        return Begun(run, newest, last_full is None or day >= last_full, through or 0)

    def state(self, run: int) -> str | None:
        with self._store.engine.connect() as connection:
            return connection.scalar(select(extracts.c.state).where(extracts.c.run == run))

    def end(self, run: int, state: str, report: Mapping[str, Any], now: int) -> None:
        """Note how a drop ended; a complete or held full one takes the place of those held."""
        with self._store.writing() as connection:
            row = connection.execute(select(extracts).where(extracts.c.run == run)).one()
            if row.state not in (TAKING, CONFIRMED):
                return
            values = {"state": state, "report": json.dumps(report), "ended": now}
            connection.execute(update(extracts).where(extracts.c.run == run).values(values))
            if row.mode == FULL and state in (COMPLETE, HELD):
                older = and_(
                    _of(row.practice, row.source),
                    extracts.c.run != run,
                    extracts.c.state.in_((HELD, CONFIRMED)),
                    extracts.c.day <= row.day,
                )
                connection.execute(update(extracts).where(older).values(state=SUPERSEDED))

    def decide(self, run: int, state: str, who: str, now: int) -> bool:
        """A person's word on a held drop; False where it is not held any more."""
        waiting = (HELD, CONFIRMED) if state == CONFIRMED else (HELD,)
        mine = and_(extracts.c.run == run, extracts.c.state.in_(waiting))
        values = {"state": state, "decided_by": who[:200], "decided": now}
        with self._store.writing() as connection:
            return connection.execute(update(extracts).where(mine).values(values)).rowcount == 1

    def listed(self, practice: str) -> list[Any]:
        """The newest drops of a practice, the newest first."""
        query = select(extracts).where(extracts.c.practice == practice)
        with self._store.engine.connect() as connection:
            return list(connection.execute(query.order_by(extracts.c.run.desc()).limit(LISTED)))

    def held(self, practice: str, day: int, source: str | None) -> list[Any]:
        """The drops of a day that await a decision, or whose confirmation was cut short."""
        waiting = and_(
            extracts.c.practice == practice,
            extracts.c.day == day,
            extracts.c.state.in_((HELD, CONFIRMED)),
        )
        if source is not None:
            waiting = and_(waiting, extracts.c.source == source)
        with self._store.engine.connect() as connection:
            return list(connection.execute(select(extracts).where(waiting)))

    # -- records

    def known(self, keys: Sequence[bytes]) -> dict[bytes, Version]:
        """What the index knows of these records, and which drop last held them."""
        query = select(
            facts.c.key,
            (facts.c.stamp - facts.c.raised).label("stamp"),
            facts.c.version,
            facts.c.deleted,
            facts.c.content,
            extract_facts.c.run,
        ).join_from(facts, extract_facts, extract_facts.c.key == facts.c.key, isouter=True)
        found: dict[bytes, Version] = {}
        with self._store.engine.connect() as connection:
            for part in chunks(keys):
                for row in connection.execute(query.where(facts.c.key.in_(part))):
                    found[row.key] = Version(
                        row.stamp, row.version, row.deleted, row.content, row.run or 0
                    )
        return found

    def mark(
        self,
        connection: Connection,
        practice: str,
        source: str,
        standing: Standing,
        settled: Settled,
    ) -> None:
        """The drop holds what ``settled`` says, or has it no more."""
        run, day = standing.run, standing.day.number
        objecting = self._objecting(connection, {m.patient for m in settled.marks.values()})
        rows = [
            {
                "key": mark.key,
                "practice": practice,
                "source": source,
                "type": mark.type,
                "id": mark.id,
                "patient": mark.patient,
                "day": day,
                "run": run,
                "key_version": settled.key_version,
            }
            for mark in settled.marks.values()
            if mark.patient not in objecting
        ]
        if rows:
            insert = self._insert(extract_facts)
            later = {
                "day": _greater(insert.excluded.day, extract_facts.c.day),
                "run": _greater(insert.excluded.run, extract_facts.c.run),
                "patient": insert.excluded.patient,
            }
            statement = insert.on_conflict_do_update(index_elements=["key"], set_=later)
            connection.execute(statement, rows)
        for part in chunks(sorted(settled.there - settled.marks.keys())):
            held = update(extract_facts).where(extract_facts.c.key.in_(part))
            connection.execute(
                held.values(
                    day=case((extract_facts.c.day > day, extract_facts.c.day), else_=day),
                    run=case((extract_facts.c.run > run, extract_facts.c.run), else_=run),
                )
            )
        self.forget(connection, settled.void)

    @staticmethod
    def forget(connection: Connection, keys: Iterable[bytes]) -> None:
        """No drop holds these any more."""
        for part in chunks(sorted(keys)):
            connection.execute(delete(extract_facts).where(extract_facts.c.key.in_(part)))

    def vanished(self, practice: str, source: str, standing: Standing) -> dict[int, Vanished]:
        """By resource type: what earlier drops held, and how much of it this full one does not."""
        gone = case((_gone(standing), 1), else_=0)
        by_patient = (
            select(
                extract_facts.c.type,
                func.count().label("records"),
                func.sum(gone).label("gone"),
            )
            .join_from(extract_facts, facts, facts.c.key == extract_facts.c.key, isouter=True)
            .where(
                extract_facts.c.practice == practice,
                extract_facts.c.source == source,
                _under_its_keys(practice),
            )
            .group_by(extract_facts.c.type, extract_facts.c.patient)
            .subquery()
        )
        nobody = case((by_patient.c.gone == by_patient.c.records, 1), else_=0)
        query = select(
            by_patient.c.type,
            func.sum(by_patient.c.gone),
            func.sum(by_patient.c.records),
            func.sum(nobody),
            func.count(),
        ).group_by(by_patient.c.type)
        with self._store.engine.connect() as connection:
            return {
                kind: Vanished(int(records), int(of), int(patients), int(of_patients))
                for kind, records, of, patients, of_patients in connection.execute(query)
            }

    def page(
        self,
        practice: str,
        source: str,
        standing: Standing,
        kind: int,
        after: bytes,
        limit: int,
    ) -> list[tuple[Mark, Version | None]]:
        """The next records of a type that vanished, by key, and what the index knows of each."""
        query = (
            select(
                extract_facts.c.key,
                extract_facts.c.type,
                extract_facts.c.id,
                extract_facts.c.patient,
                facts.c.stamp,
                facts.c.version,
                facts.c.deleted,
                facts.c.content,
            )
            .join_from(extract_facts, facts, facts.c.key == extract_facts.c.key, isouter=True)
            .where(
                extract_facts.c.practice == practice,
                extract_facts.c.source == source,
                extract_facts.c.type == kind,
                extract_facts.c.key > after,
                _under_its_keys(practice),
                _gone(standing),
            )
            .order_by(extract_facts.c.key)
            .limit(limit)
        )
        with self._store.engine.connect() as connection:
            return [
                (
                    Mark(row.key, row.type, row.id, row.patient),
                    None
                    if row.stamp is None
                    else Version(row.stamp, row.version, row.deleted, row.content),
                )
                for row in connection.execute(query)
            ]

    @staticmethod
    def _objecting(connection: Connection, keys: set[bytes]) -> set[bytes]:
        """Of an objecting patient nothing is remembered, this neither."""
        found: set[bytes] = set()
        for part in chunks(sorted(keys)):
            query = select(patients.c.key).where(patients.c.key.in_(part), patients.c.objected)
            found.update(connection.scalars(query))
        return found


def _of(practice: str, source: str) -> Any:
    return and_(extracts.c.practice == practice, extracts.c.source == source)


def _under_its_keys(practice: str) -> Any:
    """What was marked under former keys has not vanished: it ends with the re-keying."""
    return extract_facts.c.key_version == key_versions.current(practice)


def _gone(standing: Standing) -> Any:
    """An earlier drop held it, this one does not, and nothing later is known of it."""
    return and_(
        extract_facts.c.run < standing.run,
        extract_facts.c.day <= standing.day.number,
        or_(facts.c.stamp.is_(None), facts.c.stamp < standing.day.end),
    )


def _greater(a: Any, b: Any) -> Any:
    return case((a > b, a), else_=b)
