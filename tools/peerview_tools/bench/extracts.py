"""Rows of a supplier's daily drop: from bytes to the index, before a log that takes everything."""

import asyncio
import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Final

from peerview_common import codes
from peerview_common.ids import ods_code
from peerview_common.settings import IngestSettings
from peerview_ingest.extracts import catalogue
from peerview_ingest.extracts.catalogue import Catalogue
from peerview_ingest.extracts.taking import Extracts
from peerview_ingest.publisher import Position
from peerview_ingest.store import Store
from peerview_ingest.submission import Ingest, Sender
from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.surroundings import Surroundings
from peerview_tools.simulator import PRACTICES, history
from peerview_tools.simulator.extracts import write

SUPPLIER: Final = "fieldgate"
DAY: Final = date(2026, 4, 1)
PIECE: Final = 65_536
NOW: Final = 1_780_000_000_000
_PATIENTS: Final[dict[Size, int]] = {"full": 8_000, "quick": 2_000, "tiny": 20}


class _Acknowledged:
    """A log that takes everything, at once, and keeps none of it."""

    def __init__(self) -> None:
        self._sent = 0

    async def publish(
        self,
        changes: Sequence[bytes],
        practice: str,
        traceparent: str | None,
        kinds: Sequence[str] | None = None,
    ) -> list[Position]:
        first, self._sent = self._sent, self._sent + len(changes)
        return [Position(0, first + number) for number in range(len(changes))]

    def wrong(self) -> str | None:
        return None


def run(around: Surroundings, size: Size) -> Found:
    practice = replace(PRACTICES[0], size=_PATIENTS[size])
    with tempfile.TemporaryDirectory(prefix="peerview-bench-") as home:
        around.say(f"writing a drop of {practice.size:,} patients")
        files = Path(home) / "drop"
        write(SUPPLIER, files, practice.ods, DAY, history(practice, DAY))
        rates = asyncio.run(_take(Path(home), files, practice.ods, 2))
    (rows, first, wall), (_, again, _) = rates
    return Found(
        first,
        f"rows a second of its own processor time, {wall:,.0f} of the clock, of a full drop of "
        f"{rows:,} rows in 8 tables, SQLite; {again:,.0f} of the same drop again",
    )


async def _take(home: Path, files: Path, ods: str, times: int) -> list[tuple[int, float, float]]:
    """``(rows, rows a processor second, rows a second)`` of each time that the drop is sent."""
    settings = IngestSettings(ingest_database=f"sqlite:///{home / 'ingest.db'}")
    clock = itertools.count(NOW, 1_000)
    ingest = Ingest(
        settings, Store(settings.ingest_database), _Acknowledged(), codes.shipped(), bytes(32),
        lambda: next(clock),
    )  # fmt: skip
    try:
        found = []
        for _ in range(times):
            cpu, wall = time.process_time(), time.perf_counter()
            rows = await _send(Extracts(ingest, Catalogue.of(None)), files, ods)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            found.append((rows, rows / cpu, rows / wall))
        return found
    finally:
        ingest.close()


async def _send(extracts: Extracts, files: Path, ods: str) -> int:
    mapping = next(each for each in catalogue.shipped() if each.name == SUPPLIER)
    drop = await extracts.begin(Sender(ods_code(ods), SUPPLIER), DAY, "full", None)
    for name, table in mapping.tables.given():
        await drop.begin_table(name)
        for piece in _pieces(files, table.file):
            await drop.feed(piece)
        await drop.end_table()
    report = await drop.finish()
    return sum(table["rows"] for table in report["tables"].values())


def _pieces(folder: Path, name: str) -> Iterator[bytes]:
    (path,) = folder.glob(name)
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
