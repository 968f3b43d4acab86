"""What stricter agreements go by, as it was kept with each release."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from sqlalchemy import Connection, and_, func, select

from peerview_share.disclosure.cell import Cell
from peerview_share.disclosure.nested import Choice, Margin, MarkedRelease
from peerview_share.store import epochs, schema


def reaches(connection: Connection, practice: str) -> dict[str, dict[int, int]]:
    """``{indicator: {epoch of release: reach}}`` of all releases of a practice that have one."""
    table = schema.cells
    rows = connection.execute(
        select(table.c.indicator, table.c.epoch, table.c.reach).where(
            table.c.practice == practice, table.c.is_release, table.c.reach.is_not(None)
        )
    )
    found: dict[str, dict[int, int]] = {}
    for row in rows:
        found.setdefault(row.indicator, {})[row.epoch] = row.reach
    return found


def choice_of(
    read: Callable[[], AbstractContextManager[Connection]],
    epoch: int,
    cells: Mapping[str, Mapping[str, Cell]],
) -> Choice:
    """What stricter agreements choose from up to an epoch.

    ``cells`` are those of the epoch: what most agreements show is remembered, however old. A
    practice's releases are read when they are first asked for: few agreements ask for more.
    """
    known: dict[str, dict[str, tuple[MarkedRelease, ...]]] = {}

    def choice(practice: str, indicator: str) -> tuple[MarkedRelease, ...]:
        found = known.get(practice)
        if found is None:
            with read() as connection:
                found = _marked(connection, epoch, practice, cells.get(practice, {}))
            known[practice] = found
        return found.get(indicator, ())

    return choice


def _marked(
    connection: Connection, epoch: int, practice: str, cells: Mapping[str, Cell]
) -> dict[str, tuple[MarkedRelease, ...]]:
    """Of each of a practice's cells the newest release of each reach, as it is shown now."""
    table, days = schema.cells, schema.epochs
    oldest = connection.execute(
        select(days.c.oldest_day).where(days.c.number == epoch)
    ).scalar_one_or_none()
    if oldest is None:
        # decided before there were margins
        return {}
    newest = (
        select(table.c.indicator, func.max(table.c.epoch).label("epoch"))
        .where(
            table.c.practice == practice,
            table.c.is_release,
            table.c.reach.is_not(None),
            table.c.epoch <= epoch,
        )
        .group_by(table.c.indicator, table.c.reach)
        .subquery()
    )
    of_newest = and_(
        table.c.practice == practice, *(table.c[column.name] == column for column in newest.c)
    )
    rows = connection.execute(
        select(table.c.reach, table.c.patients, days.c.day, *epochs.COLUMNS)
        .join(newest, of_newest)
        .join(days, days.c.number == table.c.epoch)
        .order_by(table.c.epoch.desc())
    )
    wrong = epochs.retractions(connection, practice)
    found: dict[str, tuple[MarkedRelease, ...]] = {}
    for reach, patients, day, *columns in rows:
        cell = epochs.shown_now(practice, epochs.cell_of(*columns), wrong)
        here = cells.get(cell.indicator)
        forgotten = day < oldest and (here is None or here.epoch != cell.epoch)
        release = MarkedRelease(cell, Margin(reach, patients), forgotten)
        found[cell.indicator] = (*found.get(cell.indicator, ()), release)
    return found
