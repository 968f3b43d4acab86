"""The release log as the attacker takes it, read practice by practice from the tables."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from peerview_common.catalogue import IndicatorInfo, Kind
from peerview_common.snapshots import SnapshotBody, contributions, decode_body
from peerview_share.agreements.life import AgreementRecord
from peerview_share.attack.log import CellLog, Release, ReleaseLog
from peerview_share.disclosure.cell import CellState
from peerview_share.store import agreements, epochs, schema

SHOWN = (CellState.VALUE, CellState.CARRIED_FORWARD)
SEEN = (*SHOWN, CellState.SUPPRESSED)


@dataclass(frozen=True, slots=True)
class _Epoch:
    number: int
    day: int
    at: int
    """When it was published, or will be; milliseconds UTC."""


def read(connection: Connection, catalogue: Mapping[str, IndicatorInfo]) -> ReleaseLog:
    """Everything of epochs that are closed: what is in preview is tried before peers see it.

    The connection must stay open until the log was gone through.
    """
    if connection.dialect.name == "postgresql":
        # an epoch that closes meanwhile deletes snapshots: all must be of one instant, as on SQLite
        connection.execution_options(isolation_level="REPEATABLE READ")
    closed = _closed(connection)
    records = agreements.records(connection)
    return ReleaseLog(
        _cells(connection, catalogue, closed, records),
        newest_day=max((epoch.day for epoch in closed.values()), default=0),
    )


def _closed(connection: Connection) -> dict[int, _Epoch]:
    table = schema.epochs
    rows = connection.execute(select(table).where(table.c.closed_at.is_not(None)))
    return {
        row.number: _Epoch(row.number, row.day, row.published_at or row.publish_at or row.closed_at)
        for row in rows
    }


def _cells(
    connection: Connection,
    catalogue: Mapping[str, IndicatorInfo],
    closed: Mapping[int, _Epoch],
    records: tuple[AgreementRecord, ...],
) -> Iterator[CellLog]:
    table = schema.cells
    practices = connection.execute(select(table.c.practice).distinct().order_by(table.c.practice))
    for practice in practices.scalars().all():
        seen = _seen(connection, practice)
        bodies: dict[int, SnapshotBody | None] = {}
        for indicator, found in seen.items():
            info = catalogue.get(indicator)
            releases = [
                Release(
                    number,
                    closed[number].day,
                    _contributions(connection, bodies, practice, number, indicator),
                    shown,
                    networks=_networks(records, practice, indicator, closed[number].at),
                )
                for number, shown in sorted(found.items())
                if number in closed
            ]
            yield CellLog(
                practice,
                indicator,
                releases,
                info.scale if info else 1,
                info is not None and info.kind is Kind.RATE,
            )


def _seen(connection: Connection, practice: str) -> dict[str, dict[int, bool]]:
    """``{indicator: {epoch of release: with a figure}}``, by what cells said, not by what the
    pipeline noted of them."""
    table = schema.cells
    rows = connection.execute(
        select(table.c.indicator, table.c.released_epoch, table.c.state)
        .where(table.c.practice == practice, table.c.state.in_(SEEN))
        .order_by(table.c.epoch)
    )
    found: dict[str, dict[int, bool]] = defaultdict(dict)
    for row in rows:
        shown = found[row.indicator].get(row.released_epoch, False)
        found[row.indicator][row.released_epoch] = shown or row.state in SHOWN
    return found


def _contributions(
    connection: Connection,
    bodies: dict[int, SnapshotBody | None],
    practice: str,
    number: int,
    indicator: str,
) -> dict[int, tuple[int, int]] | None:
    if number not in bodies:
        snapshot = epochs.snapshot(connection, practice, number)
        bodies[number] = None if snapshot is None else decode_body(snapshot.body)
    body = bodies[number]
    return None if body is None else contributions(body, indicator)


def _networks(
    records: tuple[AgreementRecord, ...], practice: str, indicator: str, at: int
) -> frozenset[str]:
    """Networks in which the practice shared the indicator at that moment."""
    return frozenset(
        record.document.network.id
        for record in records
        for party in record.parties
        if party.ods == practice
        and indicator in record.document.indicators
        and party.signed_at is not None
        and party.signed_at <= at
        and (party.withdrawn_at is None or party.withdrawn_at > at)
        and record.starts <= at
        and (record.ends is None or at < record.ends)
    )
