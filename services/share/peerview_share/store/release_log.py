"""The release log as the attacker takes it, read practice by practice from the tables."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from sqlalchemy import Connection, select

from peerview_common.catalogue import IndicatorInfo, Kind
from peerview_share.agreements.life import AgreementRecord
from peerview_share.attack.log import CellLog, Release, ReleaseLog
from peerview_share.disclosure.cell import CellState
from peerview_share.disclosure.columns import Columns, united
from peerview_share.disclosure.gate import K
from peerview_share.store import agreements, epochs, kept, margins, schema, successions
from peerview_share.store.kept import Past
from peerview_share.store.unnamed_log import UnnamedLog

SHOWN = (CellState.VALUE, CellState.CARRIED_FORWARD)
SEEN = (*SHOWN, CellState.SUPPRESSED)


@dataclass(frozen=True, slots=True)
class ClosedEpoch:
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
    unnamed = UnnamedLog(connection, catalogue)
    return ReleaseLog(
        _Cells(connection, catalogue, closed).logs(),
        unnamed.derived,
        unnamed.views,
        newest_day=max((epoch.day for epoch in closed.values()), default=0),
    )


def _closed(connection: Connection) -> dict[int, ClosedEpoch]:
    table = schema.epochs
    rows = connection.execute(select(table).where(table.c.closed_at.is_not(None)))
    return {
        row.number: ClosedEpoch(
            row.number, row.day, row.published_at or row.publish_at or row.closed_at
        )
        for row in rows
    }


class _Cells:
    def __init__(
        self,
        connection: Connection,
        catalogue: Mapping[str, IndicatorInfo],
        closed: Mapping[int, ClosedEpoch],
    ) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._closed = closed
        self._records = agreements.records(connection)
        self._retracted = epochs.retractions(connection)

    def logs(self) -> Iterator[CellLog]:
        table = schema.cells
        practices = self._connection.execute(
            select(table.c.practice).distinct().order_by(table.c.practice)
        )
        for practice in practices.scalars().all():
            seen = _seen(self._connection, practice)
            past = self._past(practice, seen)
            reaches = margins.reaches(self._connection, practice)
            before = [
                (code, found, self._past(code, found), margins.reaches(self._connection, code))
                for code in successions.predecessors(self._connection, practice)
                for found in [_seen(self._connection, code)]
            ]
            for indicator, releases in seen.items():
                info = self._catalogue.get(indicator)
                yield CellLog(
                    practice,
                    indicator,
                    self._releases(practice, indicator, releases, past, reaches),
                    info.scale if info else 1,
                    info is not None and info.kind is Kind.RATE,
                    self._united(indicator, before),
                )

    def _past(self, practice: str, seen: Mapping[str, Mapping[int, bool]]) -> Past:
        return kept.read(
            self._connection, practice, {number for found in seen.values() for number in found}
        )

    def _releases(
        self,
        practice: str,
        indicator: str,
        found: Mapping[int, bool],
        past: Past,
        reaches: Mapping[str, Mapping[int, int]],
    ) -> list[Release]:
        shown_under = reaches.get(indicator, {})
        asked = _asked(self._records, practice, indicator)
        return [
            Release(
                number,
                self._closed[number].day,
                _columns(past, number, indicator),
                shown,
                (practice, indicator, number) in self._retracted,
                _networks(self._records, practice, indicator, self._closed[number].at),
                min(asked, shown_under.get(number, K)),
            )
            for number, shown in sorted(found.items())
            if number in self._closed
        ]

    def _united(
        self,
        indicator: str,
        before: list[tuple[str, dict[str, dict[int, bool]], Past, dict[str, dict[int, int]]]],
    ) -> Iterator[Release]:
        """One release of each predecessor, or of some of them, added up."""
        sides: list[list[Release | None]] = [
            [None, *self._releases(code, indicator, found.get(indicator, {}), past, reaches)]
            for code, found, past, reaches in before
        ]
        for chosen in product(*sides):
            some = [release for release in chosen if release is not None]
            known = [r.contributions for r in some if r.contributions is not None]
            if some and len(known) == len(some):
                newest = max(some, key=lambda release: release.epoch)
                reach = min(release.reach for release in some)
                yield Release(newest.epoch, newest.day, united(known), reach=reach)


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


def _columns(past: Past, number: int, indicator: str) -> Columns | None:
    try:
        return past.columns(number, indicator)
    except LookupError:
        return None


def _asked(records: tuple[AgreementRecord, ...], practice: str, indicator: str) -> int:
    """The largest `minChange` of all agreements that the practice ever signed."""
    return max(
        (
            record.document.disclosure_control.min_change
            for record in records
            for party in record.parties
            if party.ods == practice
            and party.signed_at is not None
            and indicator in record.document.indicators
        ),
        default=K,
    )


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
