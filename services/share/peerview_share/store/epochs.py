"""Epochs, the snapshots that came for them, and the cells that were decided. Cells never change."""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, func, select, update

from peerview_common.snapshots import SnapshotChunk, decode_chunk, encode_chunk
from peerview_share.disclosure import RULES
from peerview_share.disclosure.cell import SEAL, Cell, CellState, Released
from peerview_share.disclosure.release import Decision
from peerview_share.store import schema
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
    practice: str
    cut: int
    as_of: int
    data_through: int
    body: bytes


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


def unpublished(connection: Connection) -> Epoch | None:
    """The epoch that is open or in preview. There is one at most."""
    return _one(connection, schema.epochs.c.published_at.is_(None))


def published(connection: Connection, number: int | None = None) -> Epoch | None:
    """The newest published epoch, or that of a number when it is published."""
    table = schema.epochs
    shown = table.c.published_at.is_not(None)
    return _one(connection, shown if number is None else and_(shown, table.c.number == number))


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
        "body": zlib.compress(body),
        "received_at": at,
    }
    upsert(connection, schema.snapshots, [row])
    drop_chunks(connection, chunk.practice, chunk.cut)


def drop_chunks(connection: Connection, practice: str, cut: int) -> None:
    table = schema.snapshot_chunks
    connection.execute(delete(table).where(table.c.practice == practice, table.c.cut <= cut))


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
    return Snapshot(practice, cut, row.as_of, row.data_through, zlib.decompress(row.body))


def keep_snapshots(connection: Connection, practice: str, cuts: Iterable[int]) -> None:
    """Delete the practice's snapshots of all other cuts."""
    table = schema.snapshots
    connection.execute(
        delete(table).where(table.c.practice == practice, table.c.cut.not_in(list(cuts)))
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
        }
        for practice, found in decisions.items()
        for decision in found
        for figure in [decision.cell.figure]
    ]
    if rows:
        connection.execute(schema.cells.insert(), rows)


_COLUMNS = [
    schema.cells.c[name]
    for name in (
        "indicator", "state", "version", "numerator", "denominator", "value", "as_of",
        "released_epoch", "released_day",
    )
]  # fmt: skip


def _cell(
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
    """``{practice: {indicator: cell}}`` of one epoch."""
    table = schema.cells
    found: dict[str, dict[str, Cell]] = {}
    for row in connection.execute(
        select(table.c.practice, *_COLUMNS).where(table.c.epoch == epoch)
    ):
        practice, *rest = row
        found.setdefault(practice, {})[row.indicator] = _cell(*rest)
    return found


def releases(connection: Connection, practice: str) -> dict[str, list[Cell]]:
    """``{indicator: cells}``: everything ever released of a practice, oldest first."""
    table = schema.cells
    found: dict[str, list[Cell]] = {}
    for row in connection.execute(
        select(*_COLUMNS)
        .where(table.c.practice == practice, table.c.is_release)
        .order_by(table.c.epoch)
    ):
        found.setdefault(row.indicator, []).append(_cell(*row))
    return found


def days(connection: Connection, numbers: Iterable[int]) -> dict[int, int]:
    """``{epoch: as-of day}``"""
    table = schema.epochs
    found = connection.execute(
        select(table.c.number, table.c.day).where(table.c.number.in_(list(numbers)))
    )
    return {row.number: row.day for row in found}


def next_number(connection: Connection) -> int:
    return int(connection.execute(select(func.max(schema.epochs.c.number))).scalar() or 0) + 1
