"""Uploads in the database: how far each is, who sends it just now, and what was refused.

``next_line`` moves in the transaction that remembers the lines' facts, so it is never ahead of
them, and a group that is sent twice counts once. A request *holds* its upload for a while and
renews that; one that was overtaken finds its next write refused.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, update

from peerview_common.days import iso_millis
from peerview_ingest.publisher import Position
from peerview_ingest.receipt import COUNTS, Rejection, SubmissionReceipt
from peerview_ingest.store import Store
from peerview_ingest.tables import sources, upload_refusals, uploads

KEPT_MS: Final = 7 * 86_400_000
"""An upload is forgotten so long after its last sign of life, completed or not."""
MAX_REFUSALS: Final = 1_000
"""Kept of each upload, for its report."""
MAX_OPEN: Final = 100
"""Uploads of one source of a practice that are not completed."""


class LostError(Exception):
    """The upload is held by another request by now, or is forgotten."""


class TooManyError(Exception):
    """The source has ``MAX_OPEN`` uploads that are not completed."""


@dataclass(frozen=True, slots=True)
class Upload:
    id: str
    practice: str
    source: str
    full: bool
    codes: str
    """Version of the code list when it began."""
    lines: int | None
    """How many there are to be, where that was said."""
    next_line: int
    counts: dict[str, int]
    position: Position | None
    """The last record in the log."""
    refusals: int
    """How many there were; the first ``MAX_REFUSALS`` are kept."""
    created: int
    active: int
    completed: int | None
    backfill: bool
    """``backfill.completed`` was sent for it."""
    held_until: int
    """0 when nobody sends it just now."""

    def json(self, now: int) -> dict[str, Any]:
        return {
            "upload": self.id,
            "state": "open" if self.completed is None else "completed",
            "practice": self.practice,
            "source": self.source,
            "full": self.full,
            "code_list": self.codes,
            "lines": self.lines,
            "next_line": self.next_line,
            "sending": self.held_until > now,
            **self.counts,
            "refusals": self.refusals,
            "position": None
            if self.position is None
            else {"partition": self.position.partition, "offset": self.position.offset},
            "created": iso_millis(self.created),
            "expires": iso_millis(self.active + KEPT_MS),
            "completed": None if self.completed is None else iso_millis(self.completed),
            "backfill_completed": self.backfill,
        }


class Uploads:
    """Everything blocks: run it beside the event loop. ``now`` is milliseconds UTC."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(
        self, practice: str, source: str, *, full: bool, codes: str, lines: int | None, now: int
    ) -> Upload:
        """A new one. Raises TooManyError."""
        made = str(uuid.uuid4())
        with self._store.writing() as connection:
            self._forget(connection, uploads.c.active < now - KEPT_MS)
            mine = (uploads.c.practice == practice) & (uploads.c.source == source)
            open_ones = select(func.count()).where(mine & uploads.c.completed.is_(None))
            if (connection.scalar(open_ones) or 0) >= MAX_OPEN:
                raise TooManyError
            row = {
                "id": made,
                "practice": practice,
                "source": source,
                "full": full,
                "codes": codes,
                "lines": lines,
                "next_line": 1,
                **dict.fromkeys(COUNTS, 0),
                "refusals": 0,
                "created": now,
                "active": now,
                "backfill": False,
                "held_until": 0,
            }
            connection.execute(insert(uploads), row)
        found = self.find(made, practice, source, now)
        assert found is not None  # noqa: S101 - it was written just now
        return found

    def find(self, identity: str, practice: str, source: str, now: int) -> Upload | None:
        """None for one that is not there, has expired, or is somebody else's."""
        query = select(uploads).where(
            uploads.c.id == identity,
            uploads.c.practice == practice,
            uploads.c.source == source,
            uploads.c.active >= now - KEPT_MS,
        )
        with self._store.engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else _upload(row._mapping)

    def hold(self, identity: str, holder: str, now: int, until: int) -> bool:
        """Take it, unless another request has it."""
        mine = uploads.c.id == identity
        free = or_(uploads.c.holder.is_(None), uploads.c.held_until <= now)
        values = {"holder": holder, "held_until": until, "active": now}
        with self._store.writing() as connection:
            return connection.execute(update(uploads).where(mine, free).values(values)).rowcount > 0

    def renew(self, identity: str, holder: str, until: int) -> None:
        """Hold it on. An upload that was lost shows when its next lines are to be remembered."""
        with self._store.writing() as connection:
            connection.execute(
                update(uploads).where(_held(identity, holder)).values(held_until=until)
            )

    def release(self, identity: str, holder: str) -> None:
        with self._store.writing() as connection:
            connection.execute(
                update(uploads).where(_held(identity, holder)).values(holder=None, held_until=0)
            )

    def drop(self, identity: str) -> None:
        """Forget it. What it brought stays."""
        with self._store.writing() as connection:
            self._forget(connection, uploads.c.id == identity)

    @staticmethod
    def _forget(connection: Connection, which: ColumnElement[bool]) -> None:
        gone = select(uploads.c.id).where(which)
        connection.execute(delete(upload_refusals).where(upload_refusals.c.upload.in_(gone)))
        connection.execute(delete(uploads).where(which))

    @staticmethod
    def advance(
        connection: Connection,
        identity: str,
        holder: str,
        *,
        expected: int,
        after: int,
        receipt: SubmissionReceipt,
        refusals: Sequence[Rejection],
        until: int,
    ) -> None:
        """Lines up to ``after`` are committed with this transaction. Raises LostError."""
        same = (
            _held(identity, holder)
            & uploads.c.completed.is_(None)
            & (uploads.c.next_line == expected)
        )
        before = connection.scalar(select(uploads.c.refusals).where(same))
        if before is None:
            raise LostError
        kept = refusals[: max(0, MAX_REFUSALS - before)]
        values: dict[str, Any] = {
            **{name: uploads.c[name] + getattr(receipt, name) for name in COUNTS},
            "next_line": after,
            "refusals": before + len(refusals),
            "active": receipt.received,
            "held_until": until,
        }
        if receipt.positions:
            last = receipt.positions[-1]
            values |= {"partition": last.partition, "offset": last.offset}
        # asked once more, for another request may have come in between
        if connection.execute(update(uploads).where(same).values(values)).rowcount != 1:
            raise LostError
        if kept:
            rows = [
                {
                    "upload": identity,
                    "number": number,
                    "line": each.line or 0,
                    "place": each.issue.expression,
                    "code": each.issue.code,
                    "reason": each.issue.diagnostics,
                }
                for number, each in enumerate(kept, before)
            ]
            connection.execute(insert(upload_refusals), rows)

    def complete(self, identity: str, holder: str, now: int, *, backfill: bool) -> None:
        """Raises LostError."""
        done = (
            update(uploads)
            .where(_held(identity, holder))
            .values(completed=now, active=now, backfill=backfill, holder=None, held_until=0)
        )
        with self._store.writing() as connection:
            if connection.execute(done).rowcount != 1:
                raise LostError

    def refusals(self, identity: str) -> Iterator[dict[str, Any]]:
        """What is kept of them, in the order of their lines."""
        columns = upload_refusals.c
        query = (
            select(columns.line, columns.place, columns.code, columns.reason)
            .where(columns.upload == identity)
            .order_by(columns.number)
        )
        with self._store.engine.connect() as connection:
            for row in connection.execute(query):
                yield dict(row._mapping)

    # -- full submissions: a practice's facts are all under one list once each of its sources has
    #    begun under it, or has sent everything again

    def note_full(self, practice: str, source: str, codes: str) -> None:
        """The source's records have all been sent again under this code list."""
        mine = (sources.c.practice == practice) & (sources.c.source == source)
        with self._store.writing() as connection:
            connection.execute(update(sources).where(mine).values(full_codes=codes))

    def sources_to_come(self, practice: str, codes: str) -> list[str]:
        """Sources of the practice that have records under another code list."""
        query = select(sources.c.source, sources.c.first_codes, sources.c.full_codes).where(
            sources.c.practice == practice
        )
        with self._store.engine.connect() as connection:
            rows = connection.execute(query).all()
        return sorted(row.source for row in rows if codes not in (row.first_codes, row.full_codes))


def _held(identity: str, holder: str) -> ColumnElement[bool]:
    return (uploads.c.id == identity) & (uploads.c.holder == holder)


def _upload(row: Any) -> Upload:
    position = None
    if row["partition"] is not None:
        position = Position(row["partition"], row["offset"])
    return Upload(
        id=row["id"],
        practice=row["practice"],
        source=row["source"],
        full=row["full"],
        codes=row["codes"],
        lines=row["lines"],
        next_line=row["next_line"],
        counts={name: row[name] for name in COUNTS},
        position=position,
        refusals=row["refusals"],
        created=row["created"],
        active=row["active"],
        completed=row["completed"],
        backfill=row["backfill"],
        held_until=row["held_until"] if row["holder"] is not None else 0,
    )
