"""Practices with three years of releases behind them, made up and put through the real pipeline.

Every cell moves at every cut, so the gate compares each with all 36 earlier ones: no practice costs
more. Registers have the sizes that English practices have; their patients come and go, and results
change, by more than in life.
"""

import logging
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import insert, literal, select

from peerview_common.catalogue import Kind, catalogue
from peerview_common.snapshots import SnapshotChunk, build_body, split_body
from peerview_share.release.epochs import Epochs
from peerview_share.store import epochs as store
from peerview_share.store import schema
from peerview_share.store.database import Database
from peerview_share.store.epochs import Epoch

RELEASES: Final = 36
MONTH: Final = 30
FIRST_DAY: Final = 19_500
START: Final = 1_700_000_000_000
REGISTERS: Final = {
    "bp-htn-u80": 0.12, "dm-hba1c-58": 0.07, "af-anticoag": 0.022, "cvd-lipid-rx": 0.045,
    "copd-review": 0.019, "cervical": 0.24, "mmr-18m": 0.011, "nsaid-65-nogi": 0.11,
    "broad-abx": 1.0, "appt-14d": 0.33, "dna": 0.4, "upc": 0.5,
}  # fmt: skip
"""How many of a practice's patients are in each denominator."""
COMES_AND_GOES: Final = 0.008
RESULT_CHANGES: Final = 0.15
AT_LEAST: Final = 16
"""So many patients come and go each month, and change, in however small a register."""


class People:
    """A practice's patients, month after month."""

    def __init__(self, size: int, seed: int) -> None:
        self._draw = np.random.default_rng(seed)
        self._size = size
        self.hashes = self._draw.integers(0, 2**64, size, np.uint64, endpoint=False)
        self._in = {name: self._draw.random(size) < share for name, share in REGISTERS.items()}
        self._result = {name: self._new(size, name) for name in REGISTERS}

    def cells(self) -> dict[str, tuple[str, dict[int, tuple[int, int]]]]:
        found = {}
        for name in REGISTERS:
            here = np.flatnonzero(self._in[name])
            whole, part = self._result[name][:, here]
            pairs = zip(whole.tolist(), part.tolist(), strict=True)
            found[name] = "2025.1", dict(zip(self.hashes[here].tolist(), pairs, strict=True))
        return found

    def pass_month(self) -> None:
        """New patients for some; others enter or leave a register, or have another result."""
        gone = self._some(np.arange(self._size), COMES_AND_GOES)
        self.hashes[gone] = self._draw.integers(0, 2**64, len(gone), np.uint64, endpoint=False)
        for name, share in REGISTERS.items():
            self._in[name][gone] = self._draw.random(len(gone)) < share
            if share < 1:
                inside, outside = np.flatnonzero(self._in[name]), np.flatnonzero(~self._in[name])
                swapped = self._some(inside, COMES_AND_GOES)
                self._in[name][swapped] = False
                self._in[name][self._draw.choice(outside, len(swapped), replace=False)] = True
            changed = self._some(np.flatnonzero(self._in[name]), RESULT_CHANGES)
            self._result[name][:, changed] = self._new(len(changed), name)

    def _some(self, of: NDArray[np.intp], share: float) -> NDArray[np.intp]:
        count = min(len(of), max(AT_LEAST, round(share * len(of))))
        return self._draw.choice(of, count, replace=False)

    def _new(self, count: int, name: str) -> NDArray[np.int64]:
        """Denominators and numerators, of the indicator's kind."""
        draw, kind = self._draw, catalogue()[name].kind
        whole = np.ones(count, np.int64)
        if kind is Kind.APPOINTMENTS:
            whole = 1 + draw.poisson(1.2, count)
            part = draw.binomial(whole, 0.85 if name == "appt-14d" else 0.05)
        elif kind is Kind.RATE:
            part = draw.poisson(0.04, count)
        elif kind is Kind.MEAN:
            contacts = 2 + draw.poisson(3, count)
            with_usual = np.maximum(1, draw.binomial(contacts, 0.6))
            part = np.round(1_000_000 * with_usual / contacts).astype(np.int64)
        else:
            part = (draw.random(count) < 0.7).astype(np.int64)
        return np.stack([whole, part])


@dataclass
class Clock:
    now: int = START

    def __call__(self) -> int:
        return self.now


class Series:
    """A share database of its own; its epochs are opened, closed and published as by the leader."""

    def __init__(self, folder: Path) -> None:
        # standard output is for the measures' lines
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
        self.clock = Clock()
        self.path = folder / "share.db"
        self.database = Database(f"sqlite:///{self.path}")
        self.database.migrate()
        self.epochs = Epochs(
            self.database,
            catalogue(),
            clock=self.clock,
            deadline_s=1800,
            lag_days=0,
            snapshot_months=RELEASES + 1,
        )
        self._day = FIRST_DAY

    def open(self) -> Epoch:
        self._day += MONTH
        self.clock.now += MONTH * 86_400_000
        epoch = self.epochs.open(self._day)
        self.epochs.mark_sent(epoch)
        return epoch

    def submit(self, epoch: Epoch, practice: str, people: People) -> None:
        for chunk in chunks(epoch, practice, people, self.clock.now):
            with self.database.write() as connection:
                store.save_snapshot(connection, chunk, chunk.part, self.clock.now)

    def publish(self, practices: frozenset[str]) -> None:
        epoch = self.epochs.current()
        if epoch is None:
            raise RuntimeError("no epoch is open")
        self.epochs.close(epoch, practices, alive=lambda: None, guard=lambda connection: None)
        with self.database.write() as connection:
            # nobody sits here to confirm what jumps
            connection.execute(schema.holds.delete())
        closed = self.epochs.current()
        if closed is None or not self.epochs.publish_if_due(closed, lambda connection: None):
            raise RuntimeError("the epoch was not published")
        self.epochs.tidy(lambda: None, lambda connection: None)

    def live(self, everybody: dict[str, People], releases: int) -> None:
        """So many releases of every practice; then one more month, not yet cut."""
        for _ in range(releases):
            epoch = self.open()
            for practice, people in everybody.items():
                self.submit(epoch, practice, people)
            self.publish(frozenset(everybody))
            for people in everybody.values():
                people.pass_month()

    def copy(self, practice: str, others: list[str]) -> None:
        """Others with the same past: their cells, snapshots and rosters."""
        with self.database.write() as connection:
            for table in (schema.cells, schema.snapshots, schema.rosters):
                names = [column.name for column in table.columns]
                for other in others:
                    columns = [
                        literal(other) if name == "practice" else table.c[name] for name in names
                    ]
                    connection.execute(
                        insert(table).from_select(
                            names, select(*columns).where(table.c.practice == practice)
                        )
                    )

    def moved(self, practice: str) -> int:
        """How many of the practice's cells of all epochs were releases."""
        with self.database.read() as connection:
            return sum(map(len, store.release_epochs(connection, practice).values()))


def chunks(epoch: Epoch, practice: str, people: People, now: int) -> Iterator[SnapshotChunk]:
    body = build_body(people.cells(), gps=6)
    yield from split_body(
        body,
        practice=practice,
        cut=epoch.number,
        cut_id=epoch.cut_id,
        attempt="a",
        as_of=epoch.day,
        data_through=now,
        definitions="bench",
        chunk_bytes=10_000_000,
    )


def stored(path: Path, practice: str) -> tuple[int, list[int]]:
    """Bytes of the practice's roster, and of each of its kept snapshots, oldest first."""
    with sqlite3.connect(path) as connection:
        roster = connection.execute(
            "SELECT coalesce(sum(length(patients)), 0) FROM rosters WHERE practice = ?", (practice,)
        ).fetchone()[0]
        bodies = connection.execute(
            "SELECT length(body) FROM snapshots WHERE practice = ? AND form = 'kept' ORDER BY cut",
            (practice,),
        ).fetchall()
    return roster, [size for (size,) in bodies]
