"""Append-only rows that each carry a hash of themselves and of all before them.

A role with the owner's rights can switch off triggers and change rows; then the hashes no longer
follow from the rows. One who also writes all hashes anew, or cuts off the end, is found by heads
that were noted elsewhere before: `verify` takes them.

A table is one chain, or one for each value of a column (``info["chain"]``). Writers of one chain
take turns until they commit; writers of different chains do not wait for each other.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Table, select, text

from peerview_share.store import schema

_LOCK_CLASS: Final = 7338411
_UNHASHED: Final = frozenset({"seq", "hash"})
START: Final = "0" * 64
"""What the first row of a chain follows."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ended: after ``rows`` rows with a hash."""

    table: str
    chain: str
    rows: int
    hash: str


@dataclass(frozen=True, slots=True)
class Break:
    """A row that does not follow from the one before, or a noted head that is not there (``seq``
    None)."""

    table: str
    chain: str
    seq: int | None
    reason: str


def chained_tables() -> list[Table]:
    return [table for table in schema.metadata.sorted_tables if "chain" in table.info]


def append(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows in their order, each with its hash, in the caller's transaction.

    The caller's isolation is READ COMMITTED, or SQLite's write lock is held: what the turn before
    committed is seen.
    """
    column = table.info["chain"]
    last: dict[str, str] = {}
    for name in sorted({_chain(row, column) for row in rows}):
        _take_turn(connection, table, name)
        last[name] = _newest_hash(connection, table, name)
    found = []
    for row in rows:
        name = _chain(row, column)
        last[name] = following(last[name], row)
        found.append({**row, "hash": last[name]})
    if found:
        connection.execute(table.insert(), found)


def following(previous: str, row: Mapping[str, Any]) -> str:
    """SHA-256, in hexadecimal, of the hash before and the row as canonical JSON (RFC 8785).

    What is null is left out, so that a column that a later version adds changes no hash.
    """
    body = {k: v for k, v in row.items() if k not in _UNHASHED and v is not None}
    return hashlib.sha256(previous.encode() + canonical(body)).hexdigest()


def canonical(body: Mapping[str, str | int]) -> bytes:
    """RFC 8785 of an object of texts and whole numbers: there, sorted and compact JSON is it. Ten
    times as fast as the whole of it, and every look waits for this."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def verify(connection: Connection, noted: Iterable[Head] = ()) -> tuple[list[Head], list[Break]]:
    """All chains' heads now, and everything that is wrong. ``noted`` are heads of an earlier time,
    which must still be part of the chains."""
    expected: dict[tuple[str, str], dict[int, str]] = {}
    for head in noted:
        expected.setdefault((head.table, head.chain), {})[head.rows] = head.hash
    heads: list[Head] = []
    breaks: list[Break] = []
    for table in chained_tables():
        for head, wrong in _walk(connection, table, expected):
            heads.append(head)
            breaks.extend(wrong)
    for (name, chain), hashes in sorted(expected.items()):
        missing = f"{len(hashes)} noted heads" if len(hashes) > 1 else "a noted head"
        if hashes:
            breaks.append(Break(name, chain, None, f"{missing} beyond its end: rows are gone"))
    return heads, breaks


def _walk(
    connection: Connection, table: Table, expected: Mapping[tuple[str, str], dict[int, str]]
) -> Iterator[tuple[Head, list[Break]]]:
    column = table.info["chain"]
    order = [table.c[column], table.c.seq] if column else [table.c.seq]
    query = select(table).order_by(*order).execution_options(yield_per=1000)
    chain: str | None = None
    rows, last, wrong = 0, START, list[Break]()
    for row in connection.execute(query).mappings():
        name = _chain(row, column)
        if chain is not None and name != chain:
            yield Head(table.name, chain, rows, last), wrong
            rows, last, wrong = 0, START, []
        chain = name
        stored = row["hash"]
        if stored is None:
            if rows:
                wrong.append(Break(table.name, name, row["seq"], "it has no hash"))
            continue
        rows += 1
        if stored != following(last, row):
            wrong.append(
                Break(table.name, name, row["seq"], "its hash does not follow: changed, or rows "
                      "before it are gone")
            )  # fmt: skip
        # from what stands there, so that one change is reported once
        last = stored
        noted = expected.get((table.name, name), {}).pop(rows, None)
        if noted is not None and noted != stored:
            wrong.append(Break(table.name, name, row["seq"], "another hash was noted here before"))
    if chain is not None:
        yield Head(table.name, chain, rows, last), wrong


def _chain(row: Mapping[str, Any], column: str | None) -> str:
    return str(row[column]) if column else ""


def _take_turn(connection: Connection, table: Table, chain: str) -> None:
    """On SQLite a writing transaction has the whole database to itself already."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:kind, hashtext(:name))"),
            {"kind": _LOCK_CLASS, "name": f"{table.name}/{chain}"},
        )


def _newest_hash(connection: Connection, table: Table, chain: str) -> str:
    column = table.info["chain"]
    query = select(table.c.hash).order_by(table.c.seq.desc()).limit(1)
    if column:
        query = query.where(table.c[column] == chain)
    return connection.execute(query).scalar() or START
