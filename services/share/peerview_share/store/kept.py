"""What a practice released, as the gate compares with it: rosters and kept snapshots."""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, select, update

from peerview_common.snapshots import SnapshotBody, build_body, decode_body
from peerview_share.disclosure.columns import Columns, Hashes, mapping
from peerview_share.store import packing, schema
from peerview_share.store.arrived import columns_of, patients, unzip
from peerview_share.store.database import upsert
from peerview_share.store.packing import KeptBody

ARRIVED: Final = "arrived"
KEPT: Final = "kept"
UNUSED_SHARE: Final = 0.05
"""A roster is written anew once so much of it is in no snapshot any more."""


Released: TypeAlias = Mapping[int, Mapping[str, tuple[str, Columns]]]
"""``{cut: {indicator: (definition version, its columns)}}``"""


class Past:
    """Snapshots of one practice, all over one roster, so that any two are compared in place.

    ``arrived`` are whole bodies that were not packed yet: the newest one, as a rule.
    """

    def __init__(
        self, roster: Hashes, kept: Mapping[int, KeptBody], arrived: Mapping[int, SnapshotBody]
    ) -> None:
        self.size = len(roster)
        """Patients who are in the stored roster; those after them are new."""
        known = [roster]
        for body in arrived.values():
            known.append(np.setdiff1d(patients(body), np.concatenate(known), assume_unique=True))
        self.roster = np.concatenate(known)
        self._kept = kept
        self._arrived = arrived
        order = np.argsort(self.roster, kind="stable")
        self._places = {
            cut: order[np.searchsorted(self.roster, patients(body), sorter=order)]
            for cut, body in arrived.items()
        }

    def columns(self, cut: int, indicator: str) -> Columns:
        """Nobody contributes to an indicator that is not in the snapshot.

        Raises LookupError when the snapshot is gone, or was kept without this cell: comparing with
        less than was released would be a leak.
        """
        if cut in self._kept:
            cell = self._kept[cut].cells.get(indicator)
            if cell is None:
                raise LookupError(f"the kept snapshot of cut {cut} has no {indicator}")
            return packing.columns(cell, self.roster)
        if cut in self._arrived:
            return columns_of(self._arrived[cut], indicator, self.roster, self._places[cut])
        raise LookupError(f"the snapshot of cut {cut} is missing")

    def body(self, cut: int) -> SnapshotBody:
        """The whole body of a snapshot that is not packed yet. Raises KeyError for others."""
        return self._arrived[cut]

    def version(self, cut: int, indicator: str) -> str:
        body = self._kept[cut] if cut in self._kept else self._arrived[cut]
        cell = body.cells.get(indicator)
        return cell.version if cell is not None else ""

    def gps(self, cut: int) -> int:
        return (self._kept[cut] if cut in self._kept else self._arrived[cut]).gps


def read(connection: Connection, practice: str, cuts: Iterable[int]) -> Past:
    """The practice's snapshots of these cuts, those that are there."""
    table = schema.snapshots
    rows = connection.execute(
        select(table.c.cut, table.c.form, table.c.body)
        .where(table.c.practice == practice, table.c.cut.in_(sorted(set(cuts))))
        .order_by(table.c.cut)
    ).all()
    return Past(
        roster(connection, practice),
        {row.cut: packing.unpack(row.body) for row in rows if row.form == KEPT},
        {row.cut: decode_body(unzip(row.body)) for row in rows if row.form == ARRIVED},
    )


def roster(connection: Connection, practice: str) -> Hashes:
    """All patients of kept snapshots, in the order in which they were kept first."""
    table = schema.rosters
    parts = connection.execute(
        select(table.c.patients).where(table.c.practice == practice).order_by(table.c.cut)
    ).scalars()
    return np.concatenate([np.zeros(0, np.uint64), *map(packing.unpack_roster, parts)])


def keep(
    connection: Connection, practice: str, wanted: Mapping[int, Iterable[str]], *, upto: int
) -> None:
    """Keep ``{cut: released indicators}`` of the practice's snapshots, packed; delete the others
    of cuts up to ``upto``.

    Doing it again changes nothing. A cell that was not released is not kept: nobody saw it.
    """
    table = schema.snapshots
    here = connection.execute(
        select(table.c.cut, table.c.form).where(table.c.practice == practice, table.c.cut <= upto)
    ).all()
    gone = [row.cut for row in here if row.cut not in wanted]
    if gone:
        connection.execute(delete(table).where(table.c.practice == practice, table.c.cut.in_(gone)))
    arrived = [row.cut for row in here if row.form == ARRIVED and row.cut in wanted]
    if arrived:
        past = read(connection, practice, arrived)
        _extend(connection, practice, past, {cut: wanted[cut] for cut in arrived})
    dropped = any(row.form == KEPT and row.cut not in wanted for row in here)
    if dropped:
        _forget_unused(connection, practice, wanted)


def _extend(
    connection: Connection, practice: str, past: Past, wanted: Mapping[int, Iterable[str]]
) -> None:
    """Put the newcomers who are in a released cell on the roster, and pack."""
    cells = _released(past, wanted)
    used = _used(past, cells)
    used[: past.size] = True
    places = np.flatnonzero(used)
    newcomers = past.roster[places[past.size :]]
    order = np.argsort(newcomers, kind="stable")
    places[past.size :] = places[past.size :][order]
    if len(newcomers):
        row = {
            "practice": practice,
            "cut": max(wanted),
            "patients": packing.pack_roster(newcomers[order]),
        }
        upsert(connection, schema.rosters, [row])
    _write(connection, practice, past, cells, places)


def _released(past: Past, wanted: Mapping[int, Iterable[str]]) -> Released:
    return {
        cut: {name: (past.version(cut, name), past.columns(cut, name)) for name in names}
        for cut, names in wanted.items()
    }


def _used(past: Past, cells: Released) -> NDArray[np.bool_]:
    """Who of the past's roster is in any of the cells."""
    used = np.zeros(len(past.roster), bool)
    for found in cells.values():
        for _, columns in found.values():
            used |= columns.denominator != 0
    return used


def _write(
    connection: Connection,
    practice: str,
    past: Past,
    cells: Released,
    places: NDArray[np.intp],
) -> None:
    """Pack over the roster that ``places`` of the past's make up."""
    table = schema.snapshots
    patients_kept = past.roster[places]
    for cut, found in cells.items():
        narrowed = {
            name: (
                version,
                Columns(patients_kept, columns.denominator[places], columns.numerator[places]),
            )
            for name, (version, columns) in found.items()
        }
        connection.execute(
            update(table)
            .where(table.c.practice == practice, table.c.cut == cut)
            .values(form=KEPT, body=packing.pack(narrowed, past.gps(cut)))
        )


def _forget_unused(
    connection: Connection, practice: str, wanted: Mapping[int, Iterable[str]]
) -> None:
    """Hashes of patients who are in no snapshot any more go, once there are some."""
    past = read(connection, practice, wanted)
    cells = _released(past, wanted)
    used = _used(past, cells)
    if np.count_nonzero(~used) <= UNUSED_SHARE * len(used):
        return
    places = np.flatnonzero(used)
    places = places[np.argsort(past.roster[places], kind="stable")]
    table = schema.rosters
    connection.execute(delete(table).where(table.c.practice == practice))
    if len(places):
        patients_left = packing.pack_roster(past.roster[places])
        row = {"practice": practice, "cut": max(wanted), "patients": patients_left}
        upsert(connection, table, [row])
    _write(connection, practice, past, cells, places)


def body(connection: Connection, practice: str, cut: int, kept: bytes) -> bytes:
    """A kept snapshot in the form of ``indicator.snapshots``: the released cells alone."""
    unpacked = packing.unpack(kept)
    patients_known = roster(connection, practice)
    return build_body(
        {
            name: (cell.version, mapping(packing.columns(cell, patients_known)))
            for name, cell in unpacked.cells.items()
        },
        gps=unpacked.gps,
    )
