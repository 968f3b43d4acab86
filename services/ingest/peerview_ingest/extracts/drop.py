"""A drop from its first byte to its end.

Rows are taken in groups, each a submission of its own: memory holds one group, whatever the size of
the files, and what was taken stays taken if the rest does not come. Sending the same day again goes
over all of it: what is known already is not sent to the log again. What a full drop no longer has
is deleted once all of it is there, and only then.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from sqlalchemy import Connection

from peerview_common import metrics
from peerview_common.problem import Problem
from peerview_ingest.extracts import index, mapping
from peerview_ingest.extracts.ending import Ending
from peerview_ingest.extracts.reading import read_rows
from peerview_ingest.extracts.report import TableReport, reasons_to_hold
from peerview_ingest.extracts.resources import Compiled, compile_table, wanted_columns
from peerview_ingest.extracts.rows import HeaderError, Row, Rows, Unreadable, checked_header
from peerview_ingest.extracts.versions import Settled, keyed, settle
from peerview_ingest.fhir import Read, Reader
from peerview_ingest.submission import Submitted

GROUP_ROWS: Final = 5_000
GROUP_BYTES: Final = 4_000_000

log = structlog.get_logger("peerview.ingest.extracts")


class OvertakenError(Exception):
    """Another drop of the source has begun meanwhile."""


@dataclass
class _Open:
    """The table that is being sent."""

    name: str
    rows: Rows
    compiled: Compiled | None = None
    group: list[Row | Unreadable] = field(default_factory=list)
    size: int = 0


class Drop:
    """One request: ``begin_table``, ``feed`` and ``end_table`` for each table, then ``finish``;
    ``fail`` instead where any of them raises."""

    def __init__(self, mapped: mapping.Mapping, mode: str, ending: Ending) -> None:
        self._mapping, self._mode, self._ending = mapped, mode, ending
        self._ingest, self._index = ending.ingest, ending.index
        self._sender, self._standing = ending.sender, ending.standing
        self._tables: dict[str, TableReport] = {}
        self._open: _Open | None = None
        self._objections = self._opted_in = self._shared = 0

    # -- one table after the other

    async def begin_table(self, name: str) -> None:
        """Raises Problem for a table that the mapping does not have, or that was there before."""
        table = self._mapping.table(name)
        if table is None:
            known = name if name in mapping.TABLES else "that name"
            raise Problem(422, "no-such-table", f"the mapping has no table of {known}")
        if name in self._tables:
            raise Problem(422, "table-twice", f"the table {name} is there twice")
        self._tables[name] = TableReport()
        self._open = _Open(name, Rows(self._mapping.file))
        if table.columns is not None:
            self._compile(self._open, table.columns)

    async def feed(self, data: bytes) -> None:
        if self._open is not None:
            await self._take(self._open, self._open.rows.feed(data), len(data))

    async def end_table(self) -> None:
        opened = self._open
        if opened is None:
            return
        await self._take(opened, opened.rows.end(), 0)
        if opened.compiled is None:
            raise _header(opened.name, "is missing: the file is empty")
        await self._flush(opened)
        self._open = None

    async def _take(self, opened: _Open, rows: Iterable[Row | Unreadable], size: int) -> None:
        opened.size += size
        for row in rows:
            if opened.compiled is not None:
                opened.group.append(row)
            elif isinstance(row, Unreadable):
                raise _header(opened.name, row.reason)
            else:
                self._compile(opened, row.cells)
            if len(opened.group) >= GROUP_ROWS:
                await self._flush(opened)
        if opened.size >= GROUP_BYTES:
            await self._flush(opened)

    def _compile(self, opened: _Open, cells: Sequence[str]) -> None:
        table = self._mapping.table(opened.name)
        assert table is not None  # noqa: S101 - looked up when it began
        try:
            places = checked_header(cells, wanted_columns(table))
        except HeaderError as error:
            raise _header(opened.name, str(error)) from None
        opened.compiled = compile_table(opened.name, table, places, len(cells), self._mapping.file)

    async def _flush(self, opened: _Open) -> None:
        """Take the rows gathered so far, as one submission."""
        group, compiled = opened.group, opened.compiled
        size, opened.group, opened.size = opened.size, [], 0
        if not group or compiled is None:
            return
        settled = Settled()

        def reading(reader: Reader) -> list[tuple[int | None, Read]]:
            nonlocal settled
            settled = self._settled(group, compiled, reader)
            return settled.reads

        def also(connection: Connection, _: Submitted) -> None:
            if self._standing.after_full:
                self._index.mark(
                    connection, self._sender.practice, self._sender.source, self._standing, settled
                )

        try:
            done = await self._ingest.submit(
                self._sender,
                reading,
                size=size,
                submission=self._ending.submission,
                also=also,
                through=self._ending.through,
            )
        except OvertakenError:
            raise _overtaken() from None
        self._count(opened.name, done, settled)

    def _settled(
        self, group: Sequence[Row | Unreadable], compiled: Compiled, reader: Reader
    ) -> Settled:
        """Runs in a thread, in the practice's turn."""
        if self._index.state(self._standing.run) != index.TAKING:
            raise OvertakenError
        read = read_rows(group, compiled, reader, self._standing.day)
        version = reader.keys.version
        rows = keyed(self._sender.practice, self._sender.source, read, version)
        known = self._index.known([key for _, key in rows if key is not None])
        settled = settle(rows, known, self._standing, compiled.columns["id"])
        settled.key_version = version
        return settled

    def _count(self, table: str, done: Submitted, settled: Settled) -> None:
        receipt = done.receipt
        self._tables[table].add(receipt, settled.reads, settled.nobodys, settled.stale)
        self._objections += receipt.objections
        self._opted_in += receipt.opted_in
        self._shared += receipt.shared_nhs_numbers
        self._ending.sent(done)
        for outcome in ("accepted", "dropped", "rejected"):
            metrics.extract_rows.labels(table, outcome).inc(getattr(receipt, outcome))

    # -- the end

    async def finish(self) -> dict[str, Any]:
        """The answer. Raises Problem where a table is missing, or another drop has begun."""
        if not self._tables:
            raise Problem(400, "empty", "there is no table in the body")
        full = self._mode == index.FULL
        if full:
            self._check_tables()
        if await self._state() != index.TAKING:
            raise _overtaken()
        if not full or not self._standing.after_full:
            await self._ending.beat()
            return await self._end(index.COMPLETE)
        for name, gone in (await self._ending.vanished()).items():
            self._tables[name].vanished = gone
        settings = self._ingest.settings
        reasons = reasons_to_hold(
            self._tables, settings.extract_hold_share, settings.extract_hold_minimum
        )
        if not reasons:
            return await self._end(index.COMPLETE, await self._ending.carry_out())
        log.warning(
            "extract held",
            practice=self._sender.practice,
            source=self._sender.source,
            day=self._standing.day.text,
            tables=sorted({found["table"] for found in reasons}),
        )
        await self._ending.beat()
        return await self._end(index.HELD, {"why": reasons})

    def _check_tables(self) -> None:
        missing = [name for name in self._ending.tables if name not in self._tables]
        if missing:
            raise Problem(
                422,
                "missing-tables",
                "a full extract must have every table of the mapping; nothing was deleted; "
                f"missing: {', '.join(missing)}",
                missing=missing,
            )

    async def _state(self) -> str | None:
        return await self._ingest.in_thread(lambda: self._index.state(self._standing.run))

    async def _end(self, state: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
        report = self.report() | dict(more or {})
        await self._note(state, report)
        metrics.extracts.labels(self._mode, state).inc()
        return {**report, "state": state, "held": state == index.HELD}

    async def fail(self, reason: str) -> None:
        """Note that it ended in an error; what was taken stays taken."""
        taken = any(table.rows for table in self._tables.values())
        state = index.INCOMPLETE if taken else index.REFUSED
        metrics.extracts.labels(self._mode, state).inc()
        await asyncio.shield(self._note(state, self.report() | {"reason": reason}))

    async def _note(self, state: str, report: Mapping[str, Any]) -> None:
        await self._ingest.in_thread(
            lambda: self._index.end(self._standing.run, state, report, self._ingest.now())
        )

    def report(self) -> dict[str, Any]:
        """What became of the drop so far."""
        last = self._ending.position
        return {
            "date": self._standing.day.text,
            "mode": self._mode,
            "run": self._standing.run,
            "practice": self._sender.practice,
            "source": self._sender.source,
            "mapping": f"{self._mapping.name} {self._mapping.version}",
            "submission": self._ending.submission,
            "older": not self._standing.after_full,
            "tables": {name: table.json() for name, table in self._tables.items()},
            "objections": self._objections,
            "opted_in": self._opted_in,
            "shared_nhs_numbers": self._shared,
            "positions": (
                [] if last is None else [{"partition": last.partition, "offset": last.offset}]
            ),
        }


def _header(table: str, reason: str) -> Problem:
    return Problem(422, "header", f"{table}: the header {reason}", table=table)


def _overtaken() -> Problem:
    return Problem(
        409, "overtaken", "another extract of this source system has begun meanwhile, and goes on"
    )
