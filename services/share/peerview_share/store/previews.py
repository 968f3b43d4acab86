"""What only the subject practice may know of an epoch: accounts of its cells, and their holds."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, select, update

from peerview_share.disclosure.cell import Cell
from peerview_share.disclosure.release import Account
from peerview_share.store import schema
from peerview_share.store.database import upsert

JUMP: Final = "jump"
SUBJECT: Final = "subject"
KEPT_EPOCHS: Final = 3
"""Raw counts are kept for so many epochs."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A figure that is not released. Of a jump, until the practice confirms it."""

    epoch: int
    practice: str
    indicator: str
    kind: str
    numerator: int | None
    denominator: int | None
    value: float | None
    at: int
    by: str
    note: str
    ended_at: int | None
    ended_by: str | None


def plain(account: Account, epochs: Mapping[int, int] | None = None) -> dict[str, Any]:
    """As JSON values; ``epochs`` says which epoch is in each place that the gate was given."""
    stopped = account.obstacle
    return {
        "cause": account.cause.value,
        "reason": account.reason.value if account.reason else None,
        "jumped": account.jumped,
        "counts": asdict(account.totals) if account.totals else None,
        "gate": None
        if stopped is None
        else {"epoch": (epochs or {}).get(stopped.place), **asdict(stopped.difference)},
    }


def save(
    connection: Connection, epoch: int, accounts: Mapping[str, Mapping[str, dict[str, Any]]]
) -> None:
    """``{practice: {indicator: account}}``; those of old epochs go."""
    rows = [
        {"epoch": epoch, "practice": practice, "indicator": name, "body": json.dumps(account)}
        for practice, found in accounts.items()
        for name, account in found.items()
    ]
    table = schema.accounts
    if rows:
        connection.execute(table.insert(), rows)
    connection.execute(delete(table).where(table.c.epoch <= epoch - KEPT_EPOCHS))


def accounts(connection: Connection, practice: str, epoch: int) -> dict[str, dict[str, Any]]:
    table = schema.accounts
    rows = connection.execute(
        select(table.c.indicator, table.c.body).where(
            table.c.practice == practice, table.c.epoch == epoch
        )
    )
    return {row.indicator: json.loads(row.body) for row in rows}


def jump(epoch: int, practice: str, cell: Cell, at: int) -> dict[str, Any]:
    """The hold of a figure that jumped."""
    return _row(epoch, practice, cell, JUMP, at, "peerview", "")


def hold(
    connection: Connection,
    epoch: int,
    practice: str,
    cell: Cell,
    *,
    at: int,
    by: str,
    note: str,
) -> None:
    """By the practice itself. A hold that ended holds again."""
    row = _row(epoch, practice, cell, SUBJECT, at, by, note)
    row |= {"ended_at": None, "ended_by": None}
    upsert(connection, schema.holds, [row], update=("at", "by", "note", "ended_at", "ended_by"))


def _row(
    epoch: int, practice: str, cell: Cell, kind: str, at: int, by: str, note: str
) -> dict[str, Any]:
    figure = cell.figure
    return {
        "epoch": epoch,
        "practice": practice,
        "indicator": cell.indicator,
        "kind": kind,
        "numerator": figure.numerator if figure else None,
        "denominator": figure.denominator if figure else None,
        "value": figure.value if figure else None,
        "at": at,
        "by": by,
        "note": note,
    }


def save_jumps(connection: Connection, rows: Iterable[dict[str, Any]]) -> None:
    upsert(connection, schema.holds, list(rows))


def end(connection: Connection, found: Iterable[Hold], at: int, by: str) -> None:
    table = schema.holds
    for item in found:
        connection.execute(
            update(table)
            .where(
                table.c.epoch == item.epoch,
                table.c.practice == item.practice,
                table.c.indicator == item.indicator,
                table.c.kind == item.kind,
                table.c.ended_at.is_(None),
            )
            .values(ended_at=at, ended_by=by)
        )


def holds(
    connection: Connection, *, practice: str | None = None, epoch: int | None = None
) -> list[Hold]:
    """The oldest first, ended ones too."""
    table = schema.holds
    query = select(*(table.c[name] for name in Hold.__slots__))
    if practice is not None:
        query = query.where(table.c.practice == practice)
    if epoch is not None:
        query = query.where(table.c.epoch == epoch)
    order = table.c.epoch, table.c.practice, table.c.indicator, table.c.kind
    return [Hold(*row) for row in connection.execute(query.order_by(*order))]
