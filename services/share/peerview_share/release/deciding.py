"""One practice's cells at one epoch: its snapshot and its history go in, decisions come out."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from peerview_common.catalogue import IndicatorInfo
from peerview_common.snapshots import SnapshotBody, contributions, decode_body
from peerview_share.disclosure import quality
from peerview_share.disclosure.cell import Cell, CellState
from peerview_share.disclosure.gate import Contributions
from peerview_share.disclosure.release import (
    Decision,
    History,
    Submission,
    hold,
    release_cell,
    withhold,
)
from peerview_share.store import epochs as store
from peerview_share.store.epochs import Epoch, Snapshot

REKEYING: Final = "rekeying"


def decide_practice(
    connection: Connection,
    catalogue: Mapping[str, IndicatorInfo],
    practice: str,
    epoch: Epoch,
    *,
    released: int,
    oldest_day: int,
) -> list[Decision]:
    """``released`` is the day on which the epoch will be published. Releases of epochs before
    ``oldest_day`` are compared with only while they are what is shown."""
    cells = store.releases(connection, practice)
    snapshot = store.snapshot(connection, practice, epoch.number)
    kept = retained(connection, cells, oldest_day)
    if snapshot is None or quality.silent(snapshot.data_through, epoch.opened_at):
        return [hold(info, _history(cells.get(info.id, []), [])) for info in catalogue.values()]
    earlier = _bodies(connection, practice, {n for numbers in kept.values() for n in numbers})
    body = decode_body(snapshot.body)
    return [
        _decide(
            info,
            body,
            snapshot,
            _history(
                cells.get(info.id, []),
                [contributions(earlier[n], info.id) for n in sorted(kept.get(info.id, ()))],
            ),
            epoch.number,
            released,
        )
        for info in catalogue.values()
    ]


def retained(
    connection: Connection, cells: Mapping[str, list[Cell]], oldest_day: int
) -> dict[str, set[int]]:
    """``{indicator: epochs}`` whose snapshots the gate still compares with."""
    released = {
        indicator: [cell.epoch for cell in found if cell.epoch is not None]
        for indicator, found in cells.items()
    }
    days = store.days(connection, {n for numbers in released.values() for n in numbers})
    return {
        indicator: {n for n in numbers if days[n] >= oldest_day} | {numbers[-1]}
        for indicator, numbers in released.items()
    }


def _decide(
    info: IndicatorInfo,
    body: SnapshotBody,
    snapshot: Snapshot,
    history: History,
    epoch: int,
    released: int,
) -> Decision:
    if quality.personal(info.id, body.gps):
        return withhold(info, CellState.NOT_SHARED)
    if body.states.get(info.id) == REKEYING:
        return hold(info, history)  # its patients may be there twice
    if info.id in body.states:
        return withhold(info, CellState.NOT_APPLICABLE)
    cell = body.cells.get(info.id)
    if cell is None:
        return hold(info, history)
    submission = Submission(contributions(body, info.id), cell.version, snapshot.as_of)
    return release_cell(info, submission, history, epoch=epoch, released=released)


def _history(cells: list[Cell], snapshots: list[Contributions]) -> History:
    return History(tuple(snapshots), cells[-1] if cells else None)


def _bodies(connection: Connection, practice: str, numbers: set[int]) -> dict[int, SnapshotBody]:
    """Raises LookupError when a snapshot that was released is gone: without it nothing may move."""
    found = {}
    for number in sorted(numbers):
        snapshot = store.snapshot(connection, practice, number)
        if snapshot is None:
            raise LookupError(f"the snapshot of {practice} released at epoch {number} is missing")
        found[number] = decode_body(snapshot.body)
    return found
