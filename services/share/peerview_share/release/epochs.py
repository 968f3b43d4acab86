"""An epoch's life: opened by a cut, closed when all are in or it is too late, then published."""

import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from peerview_common import metrics
from peerview_common.catalogue import IndicatorInfo
from peerview_common.days import date_of, day_of, day_of_millis
from peerview_share.disclosure.release import Decision
from peerview_share.release.deciding import decide_practice, retained
from peerview_share.store import epochs as store
from peerview_share.store.database import Database
from peerview_share.store.epochs import Epoch

log = structlog.get_logger("peerview.share.epochs")


class EpochRunningError(Exception):
    """An epoch is open, or in preview: the next cut waits for it."""


class Epochs:
    """``expected`` names the practices to wait for; ``alive`` is called between practices and
    raises when this replica no longer leads; ``guard`` does so inside a transaction."""

    def __init__(
        self,
        database: Database,
        catalogue: Mapping[str, IndicatorInfo],
        *,
        clock: Callable[[], int],
        deadline_s: float,
        lag_days: float,
        snapshot_months: int,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._clock = clock
        self._deadline_ms = round(deadline_s * 1000)
        self._lag_ms = round(timedelta(days=lag_days).total_seconds() * 1000)
        self._months = snapshot_months

    def open(self, day: int) -> Epoch:
        """Ask for a cut; the leader sends it. Raises EpochRunningError."""
        try:
            opened = self._insert(day)
        except IntegrityError as error:
            # another replica opened it in the same moment
            raise EpochRunningError from error
        metrics.epochs.labels("opened").inc()
        log.info("epoch opened", epoch=opened.number)
        return opened

    def _insert(self, day: int) -> Epoch:
        at = self._clock()
        with self._database.write() as connection:
            if store.unpublished(connection) is not None:
                raise EpochRunningError
            return store.insert(
                connection,
                number=store.next_number(connection),
                cut_id=secrets.token_hex(16),
                day=day,
                at=at,
                deadline=at + self._deadline_ms,
            )

    def mark_sent(self, epoch: Epoch) -> None:
        with self._database.write() as connection:
            store.mark(connection, epoch.number, sent_at=self._clock())

    def current(self) -> Epoch | None:
        with self._database.read() as connection:
            return store.unpublished(connection)

    def last(self) -> Epoch | None:
        with self._database.read() as connection:
            return store.last(connection)

    def ready_to_close(self, epoch: Epoch, expected: frozenset[str]) -> bool:
        if epoch.sent_at is None or epoch.closed_at is not None:
            return False
        if self._clock() >= epoch.deadline:
            return True
        with self._database.read() as connection:
            return bool(expected) and expected <= store.submitted(connection, epoch.number)

    def close(
        self,
        epoch: Epoch,
        expected: frozenset[str],
        *,
        alive: Callable[[], None],
        guard: Callable[[Connection], None],
    ) -> None:
        """Run the gate for every practice and keep the cells, in one transaction.

        What came by now is in; what comes later is discarded.
        """
        now = self._clock()
        publish_at = now + self._lag_ms
        released = day_of_millis(publish_at)
        oldest = _months_before(epoch.day, self._months)
        decisions: dict[str, list[Decision]] = {}
        with self._database.read() as connection:
            practices = sorted(expected | store.submitted(connection, epoch.number))
            for practice in practices:
                alive()
                decisions[practice] = decide_practice(
                    connection,
                    self._catalogue,
                    practice,
                    epoch,
                    released=released,
                    oldest_day=oldest,
                )
        with self._database.write() as connection:
            guard(connection)
            store.save_cells(connection, epoch.number, decisions)
            store.mark(connection, epoch.number, closed_at=now, publish_at=publish_at)
            for practice in practices:
                kept = retained(connection, store.releases(connection, practice), oldest)
                numbers = {n for found in kept.values() for n in found}
                store.keep_snapshots(connection, practice, numbers)
                store.drop_chunks(connection, practice, epoch.number)
        for found in decisions.values():
            for decision in found:
                metrics.cells_released.labels(decision.cell.state).inc()
        metrics.epochs.labels("closed").inc()
        log.info("epoch closed", epoch=epoch.number, practices=len(practices))

    def publish_if_due(self, epoch: Epoch, guard: Callable[[Connection], None]) -> bool:
        """Show the epoch to peers: one row, so all practices of all networks at one instant."""
        now = self._clock()
        if epoch.publish_at is None or now < epoch.publish_at:
            return False
        with self._database.write() as connection:
            guard(connection)
            store.mark(connection, epoch.number, published_at=now)
        metrics.epochs.labels("published").inc()
        log.info("epoch published", epoch=epoch.number)
        return True


def _months_before(day: int, months: int) -> int:
    """The day so many calendar months earlier; the first of the month is near enough."""
    found = date_of(day)
    index = found.year * 12 + found.month - 1 - months
    return day_of(found.replace(year=index // 12, month=index % 12 + 1, day=1))
