"""Rows of one table into ``Read``s, one a row, by ingest's own reader.

Every row comes to a Read: accepted, dropped, or rejected with the column and the reason. What a row
is of is told beside it, for a row that is refused still shows that its record is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import structs

from peerview_common.facts import FHIR_NAMES, NO_VERSION, Fact, pack_id
from peerview_ingest.extracts.cells import CellFault, Cells
from peerview_ingest.extracts.resources import Compiled
from peerview_ingest.extracts.rows import Row, Unreadable
from peerview_ingest.fhir import Issue, Outcome, Read, Reader, Resolver
from peerview_ingest.plan import fact_hash

ELSEWHERE: Final = "is of another practice"


@dataclass(frozen=True, slots=True)
class RowRead:
    line: int
    read: Read
    refused: bytes | None = None
    """Of a row that was refused: the index's key of its record, where that could be read."""
    nobodys: bool = False
    """Refused, and nobody can say which record it is of."""


@dataclass(frozen=True)
class Day:
    """The day of a drop: what stands in for the time of a row that has none."""

    text: str
    """``2026-04-01``"""
    number: int
    """Days since 1970-01-01."""
    stamp: int
    """Its first moment in Europe/London, in milliseconds UTC."""
    end: int
    """The first moment of the next day."""


def read_rows(
    rows: Sequence[Row | Unreadable], table: Compiled, reader: Reader, day: Day
) -> list[RowRead]:
    """Raises nothing: what is wrong with a row is in its Read."""
    resolver = Resolver(organisations=reader.organisations)
    return [_read(row, table, reader, resolver, day) for row in rows]


def _read(
    row: Row | Unreadable, table: Compiled, reader: Reader, resolver: Resolver, day: Day
) -> RowRead:
    if isinstance(row, Unreadable):
        return RowRead(row.line, refused("", "structure", row.reason), nobodys=True)
    cells = row.cells
    if len(cells) != table.width:
        reason = f"has {len(cells)} fields, the header {table.width}"
        return RowRead(row.line, refused("", "structure", reason), nobodys=True)
    identity: str | None = None
    try:
        if table.practice is not None and table.practice(cells).upper() != reader.feed.practice:
            elsewhere = refused(table.practice_column, "business-rule", ELSEWHERE)
            return RowRead(row.line, elsewhere)
        if not all(holds(cells) for holds in table.where):
            return RowRead(row.line, Read("", table.kind, Outcome.DROPPED))
        identity = table.id(cells)
        read = _resource(cells, identity, table, reader, resolver, day)
    except CellFault as fault:
        read = refused(fault.column, fault.code, fault.reason)
    if read.issues:
        issues = tuple(_at_column(issue, table) for issue in read.issues)
        read = structs.replace(read, issues=issues)
    if read.outcome is not Outcome.REJECTED:
        return RowRead(row.line, read)
    try:
        key = key_of(reader, table.kind, identity or table.id(cells))
    except CellFault:
        return RowRead(row.line, read, nobodys=True)
    return RowRead(row.line, read, key)


def _resource(
    cells: Cells, identity: str, table: Compiled, reader: Reader, resolver: Resolver, day: Day
) -> Read:
    updated = table.updated(cells)
    if table.deleted is not None and table.deleted(cells):
        read = reader.deletion(table.kind, identity, table.kind, updated or day.text)
    else:
        resource = {
            "resourceType": table.kind,
            "id": identity,
            "meta": {"lastUpdated": updated or day.text},
        }
        table.build(cells, resource)
        read = reader.resource(resource, resolver)
    # the day of the drop is a time of receipt: a row that says the same a day later is no news
    return read if updated else structs.replace(read, stamped=False)


def key_of(reader: Reader, kind: str, identity: str) -> bytes:
    """The index's key of a record, whether it can be read or not."""
    packed = pack_id(reader.keys.fact_id(identity))
    fact = Fact(FHIR_NAMES[kind], packed, 0, NO_VERSION, "", False, None)
    return fact_hash(reader.feed.practice, reader.feed.source, fact, reader.keys.version)


def refused(column: str, code: str, reason: str) -> Read:
    return Read(column, None, Outcome.REJECTED, issues=(Issue("error", code, column, reason),))


def _at_column(issue: Issue, table: Compiled) -> Issue:
    # an expression without a dot is a column already
    column = table.column(issue.expression) if "." in issue.expression else issue.expression
    return Issue(issue.severity, issue.code, column, issue.diagnostics)


def at_version(read: Read, stamp: int, version: int) -> Read:
    """The same, as another version."""
    assert read.fact is not None  # noqa: S101 - asked by the callers
    return structs.replace(read, fact=structs.replace(read.fact, stamp=stamp, version=version))
