"""Epochs, the snapshots that came for them, and the cells that were decided. Cells never change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, update

from peerview_common.snapshots import SnapshotChunk, decode_chunk, encode_chunk
from peerview_share.disclosure import RULES
from peerview_share.disclosure.cell import SEAL, Cell, CellState, Released
from peerview_share.disclosure.release import Decision, retracted
from peerview_share.store import arrived, kept, schema
from peerview_share.store.database import upsert


@dataclass(frozen=True, slots=True)
class Epoch:
    """Its number is its cut's number. Times are milliseconds UTC, ``day`` the as-of day."""

    number: int
    cut_id: str
    day: int
    opened_at: int
    deadline: int
    sent_at: int | None
    closed_at: int | None
    publish_at: int | None
    published_at: int | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``body`` is that of ``indicator.snapshots``; of a kept one, with the released cells alone."""

    practice: str
    cut: int
    as_of: int
    data_through: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is known of a snapshot without opening it."""

    as_of: int
    data_through: int


def insert(
    connection: Connection, *, number: int, cut_id: str, day: int, at: int, deadline: int
) -> Epoch:
    connection.execute(
        schema.epochs.insert(),
        {
            "number": number,
            "cut_id": cut_id,
            "day": day,
            "opened_at": at,
            "deadline": deadline,
            "rules": RULES,
        },
    )
    return Epoch(number, cut_id, day, at, deadline, None, None, None, None)


def last(connection: Connection) -> Epoch | None:
    """The newest epoch, whatever its state."""
    return _one(connection, schema.epochs.c.number > 0)


def newest(connection: Connection, limit: int) -> list[Epoch]:
    table = schema.epochs
    columns = [table.c[name] for name in Epoch.__slots__]
    rows = connection.execute(select(*columns).order_by(table.c.number.desc()).limit(limit))
    return [Epoch(*row) for row in rows]


def unpublished(connection: Connection) -> Epoch | None:
    """The epoch that is open or in preview. There is one at most."""
    return _one(connection, schema.epochs.c.published_at.is_(None))


def published(
    connection: Connection,
    number: int | None = None,
    *,
    every: int = 1,
    until: int | None = None,
) -> Epoch | None:
    """The newest published epoch, or that of a number when it is published.

    Only of numbers that ``every`` divides, and published by ``until`` (milliseconds UTC).
    """
    table = schema.epochs
    conditions = [table.c.published_at.is_not(None)]
    if number is not None:
        conditions.append(table.c.number == number)
    if every != 1:
        conditions.append(table.c.number % every == 0)
    if until is not None:
        conditions.append(table.c.published_at <= until)
    return _one(connection, and_(*conditions))


def lock(connection: Connection, number: int) -> Epoch:
    """The epoch as it is now; it stays so until the transaction ends. What two transactions would
    decide of one epoch, they decide in turn: SQLite has but one writer anyway."""
    table = schema.epochs
    columns = [table.c[name] for name in Epoch.__slots__]
    row = connection.execute(select(*columns).where(table.c.number == number).with_for_update())
    return Epoch(*row.one())


def mark(connection: Connection, number: int, **values: int) -> None:
    connection.execute(
        update(schema.epochs).where(schema.epochs.c.number == number).values(**values)
    )


def _one(connection: Connection, condition: ColumnElement[bool]) -> Epoch | None:
    table = schema.epochs
    columns = [table.c[name] for name in Epoch.__slots__]
    row = connection.execute(
        select(*columns).where(condition).order_by(table.c.number.desc()).limit(1)
    ).one_or_none()
    return None if row is None else Epoch(*row)


# -- snapshots


def save_chunk(connection: Connection, chunk: SnapshotChunk) -> list[SnapshotChunk]:
    """Keep a chunk; returns all chunks of its attempt so far."""
    table = schema.snapshot_chunks
    row = {
        "practice": chunk.practice,
        "cut": chunk.cut,
        "attempt": chunk.attempt,
        "chunk": chunk.chunk,
        "record": encode_chunk(chunk),
    }
    upsert(connection, table, [row])
    found = connection.execute(
        select(table.c.record).where(
            table.c.practice == chunk.practice,
            table.c.cut == chunk.cut,
            table.c.attempt == chunk.attempt,
        )
    )
    return [decode_chunk(record) for record in found.scalars()]


def save_snapshot(connection: Connection, chunk: SnapshotChunk, body: bytes, at: int) -> None:
    """The first complete attempt wins."""
    row = {
        "practice": chunk.practice,
        "cut": chunk.cut,
        "as_of": chunk.as_of,
        "data_through": chunk.data_through,
        "definitions": chunk.definitions,
        "form": kept.ARRIVED,
        "body": arrived.zipped(body),
        "received_at": at,
    }
    upsert(connection, schema.snapshots, [row])
    drop_chunks(connection, chunk.cut, chunk.practice)


def drop_chunks(connection: Connection, cut: int, practice: str | None = None) -> None:
    """Chunks up to this cut, of one practice or of all."""
    table = schema.snapshot_chunks
    query = delete(table).where(table.c.cut <= cut)
    connection.execute(query if practice is None else query.where(table.c.practice == practice))


def submitted(connection: Connection, cut: int) -> frozenset[str]:
    table = schema.snapshots
    found = connection.execute(select(table.c.practice).where(table.c.cut == cut))
    return frozenset(found.scalars())


def snapshot(connection: Connection, practice: str, cut: int) -> Snapshot | None:
    table = schema.snapshots
    row = connection.execute(
        select(table).where(table.c.practice == practice, table.c.cut == cut)
    ).one_or_none()
    if row is None:
        return None
    whole = row.form == kept.ARRIVED
    body = arrived.unzip(row.body) if whole else kept.body(connection, practice, cut, row.body)
    return Snapshot(practice, cut, row.as_of, row.data_through, body)


def arrival(connection: Connection, practice: str, cut: int) -> Arrival | None:
    table = schema.snapshots
    row = connection.execute(
        select(table.c.as_of, table.c.data_through).where(
            table.c.practice == practice, table.c.cut == cut
        )
    ).one_or_none()
    return None if row is None else Arrival(*row)


def untidy(connection: Connection, oldest_day: int) -> list[str]:
    """Practices with snapshots as they came, or with some from before ``oldest_day``."""
    table, epochs = schema.snapshots, schema.epochs
    old = select(epochs.c.number).where(epochs.c.day < oldest_day)
    return list(
        connection.execute(
            select(table.c.practice)
            .where(or_(table.c.form == kept.ARRIVED, table.c.cut.in_(old)))
            .distinct()
            .order_by(table.c.practice)
        ).scalars()
    )


# -- cells


def save_cells(
    connection: Connection, epoch: int, decisions: Mapping[str, Iterable[Decision]]
) -> None:
    """``{practice: decisions}``. A cell that is there already is an error."""
    rows = [
        {
            "epoch": epoch,
            "practice": practice,
            "indicator": decision.cell.indicator,
            "state": decision.cell.state,
            "version": decision.cell.version,
            "numerator": figure.numerator if figure else None,
            "denominator": figure.denominator if figure else None,
            "value": figure.value if figure else None,
            "as_of": decision.cell.as_of,
            "released_epoch": decision.cell.epoch,
            "released_day": decision.cell.released,
            "is_release": decision.is_release,
            "reason": decision.reason,
            "reach": margin.reach if margin else None,
            "patients": margin.patients if margin else None,
        }
        for practice, found in decisions.items()
        for decision in found
        for figure in [decision.cell.figure]
        for margin in [decision.margin]
    ]
    if rows:
        connection.execute(schema.cells.insert(), rows)


def replace_cells(
    connection: Connection, epoch: int, decisions: Mapping[str, Iterable[Decision]]
) -> None:
    """Of an epoch that is not published yet: what was decided instead, because of a hold."""
    table = schema.cells
    for practice, found in decisions.items():
        connection.execute(
            delete(table).where(
                table.c.epoch == epoch,
                table.c.practice == practice,
                table.c.indicator.in_([decision.cell.indicator for decision in found]),
            )
        )
    save_cells(connection, epoch, decisions)


COLUMNS = [
    schema.cells.c[name]
    for name in (
        "indicator", "state", "version", "numerator", "denominator", "value", "as_of",
        "released_epoch", "released_day",
    )
]  # fmt: skip


def cell_of(
    indicator: str,
    state: str,
    version: str,
    numerator: int | None,
    denominator: int | None,
    value: float | None,
    as_of: int | None,
    epoch: int | None,
    released: int | None,
) -> Cell:
    """A cell as it was kept. With `disclosure.rounding`, the only user of the seal."""
    figure = None
    if denominator is not None and value is not None:
        figure = Released(numerator, denominator, value, SEAL)
    return Cell(indicator, CellState(state), figure, version, as_of, epoch, released)


def cells(connection: Connection, epoch: int) -> dict[str, dict[str, Cell]]:
    """``{practice: {indicator: cell}}`` of one epoch; what was retracted since is not shown."""
    table = schema.cells
    wrong = retractions(connection)
    found: dict[str, dict[str, Cell]] = {}
    for row in connection.execute(select(table.c.practice, *COLUMNS).where(table.c.epoch == epoch)):
        practice, *rest = row
        found.setdefault(practice, {})[row.indicator] = shown_now(practice, cell_of(*rest), wrong)
    return found


def of_practice(connection: Connection, practice: str, epoch: int) -> dict[str, tuple[Cell, bool]]:
    """``{indicator: (cell, whether it is a release)}`` of one practice, as it is shown."""
    table = schema.cells
    wrong = retractions(connection, practice)
    rows = connection.execute(
        select(table.c.is_release, *COLUMNS).where(
            table.c.practice == practice, table.c.epoch == epoch
        )
    )
    return {
        row.indicator: (shown_now(practice, cell_of(*row[1:]), wrong), row.is_release)
        for row in rows
    }


def states(connection: Connection, epoch: int) -> dict[str, int]:
    """How many cells of an epoch are in each state."""
    table = schema.cells
    rows = connection.execute(
        select(table.c.state, func.count().label("count"))
        .where(table.c.epoch == epoch)
        .group_by(table.c.state)
    )
    return {row.state: row[1] for row in rows}


def release_epochs(
    connection: Connection, practice: str, *, before: int | None = None
) -> dict[str, list[int]]:
    """``{indicator: epochs}`` of everything ever released of a practice, ascending; with
    ``before``, of earlier epochs alone."""
    table = schema.cells
    query = select(table.c.indicator, table.c.released_epoch).where(
        table.c.practice == practice, table.c.is_release
    )
    if before is not None:
        query = query.where(table.c.epoch < before)
    found: dict[str, list[int]] = {}
    for indicator, number in connection.execute(query.order_by(table.c.epoch)):
        found.setdefault(indicator, []).append(number)
    return found


def newest_releases(
    connection: Connection, practice: str, epochs: Mapping[str, list[int]]
) -> dict[str, Cell]:
    """``{indicator: the cell released last}``; of a release that was taken back, as it is shown."""
    table = schema.cells
    wrong = retractions(connection, practice)
    newest = {indicator: numbers[-1] for indicator, numbers in epochs.items()}
    rows = connection.execute(
        select(table.c.epoch, *COLUMNS).where(
            table.c.practice == practice,
            table.c.is_release,
            table.c.epoch.in_(sorted(set(newest.values()))),
        )
    )
    return {
        row.indicator: shown_now(practice, cell_of(*row[1:]), wrong)
        for row in rows
        if newest.get(row.indicator) == row.epoch
    }


def shown_now(practice: str, cell: Cell, wrong: frozenset[tuple[str, str, int]]) -> Cell:
    taken_back = cell.epoch is not None and (practice, cell.indicator, cell.epoch) in wrong
    return retracted(cell) if taken_back else cell


def retractions(
    connection: Connection, practice: str | None = None
) -> frozenset[tuple[str, str, int]]:
    """``(practice, indicator, epoch of the release)`` of every release that was taken back."""
    table = schema.retractions
    query = select(table.c.practice, table.c.indicator, table.c.epoch)
    if practice is not None:
        query = query.where(table.c.practice == practice)
    return frozenset((row.practice, row.indicator, row.epoch) for row in connection.execute(query))


def count_retractions(connection: Connection) -> int:
    """It grows with each of them: what was read before may be shown no more."""
    return connection.execute(select(func.count()).select_from(schema.retractions)).scalar_one()


def retract(
    connection: Connection,
    practice: str,
    indicators: Iterable[str],
    epoch: int,
    *,
    at: int,
    by: str,
    reason: str,
) -> None:
    """Take releases back. Their snapshots stay in the gate; doing it again changes nothing."""
    rows = [
        {
            "practice": practice,
            "indicator": indicator,
            "epoch": epoch,
            "at": at,
            "by": by,
            "reason": reason,
        }
        for indicator in indicators
    ]
    upsert(connection, schema.retractions, rows)


def days(connection: Connection, numbers: Iterable[int]) -> dict[int, int]:
    """``{epoch: as-of day}``"""
    table = schema.epochs
    found = connection.execute(
        select(table.c.number, table.c.day).where(table.c.number.in_(list(numbers)))
    )
    return {row.number: row.day for row in found}


def next_number(connection: Connection) -> int:
    return int(connection.execute(select(func.max(schema.epochs.c.number))).scalar() or 0) + 1


def confirmed(connection: Connection, practice: str) -> dict[str, list[tuple[int, Released]]]:
    """``{indicator: (epoch, figure)}`` that jumped and that the practice confirmed."""
    table = schema.holds
    rows = connection.execute(
        select(table).where(
            table.c.practice == practice,
            table.c.kind == "jump",
            table.c.ended_at.is_not(None),
            table.c.value.is_not(None),
        )
    )
    found: dict[str, list[tuple[int, Released]]] = {}
    for row in rows:
        figure = Released(row.numerator, row.denominator, row.value, SEAL)
        found.setdefault(row.indicator, []).append((row.epoch, figure))
    return found
