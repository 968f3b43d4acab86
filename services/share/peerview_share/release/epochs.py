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
from peerview_share.disclosure.release import Cause, Decision
from peerview_share.release.deciding import Decided, decide_held, decide_practice, retained
from peerview_share.store import epochs as store
from peerview_share.store import kept, previews, releases
from peerview_share.store.database import Database
from peerview_share.store.epochs import Epoch

log = structlog.get_logger("peerview.share.epochs")


class EpochRunningError(Exception):
    """An epoch is open, or in preview: the next cut waits for it."""


class Epochs:
    """``expected`` names the practices to wait for; ``alive`` is called between practices and
    raises when this replica no longer leads; ``guard`` does so inside a transaction; ``on_publish``
    writes what belongs to the same instant as the publication."""

    def __init__(
        self,
        database: Database,
        catalogue: Mapping[str, IndicatorInfo],
        *,
        clock: Callable[[], int],
        deadline_s: float,
        lag_days: float,
        snapshot_months: int,
        on_publish: Callable[[Connection, Epoch], None] = lambda connection, epoch: None,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._clock = clock
        self._deadline_ms = round(deadline_s * 1000)
        self.lag_ms = round(timedelta(days=lag_days).total_seconds() * 1000)
        self._months = snapshot_months
        self._on_publish = on_publish

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

        What came by now is in; what comes later is discarded. Nothing is written before all is
        decided: a crash leaves the epoch open, and it is decided anew.
        """
        now = self._clock()
        publish_at = now + self.lag_ms
        with self._database.read() as connection:
            practices = sorted(expected | store.submitted(connection, epoch.number))
        decided = {}
        for practice in practices:
            alive()
            decided[practice] = self.decide(practice, epoch, released=day_of_millis(publish_at))
        jumps = [
            previews.jump(epoch.number, practice, decision.cell, now)
            for practice, found in decided.items()
            for decision in found.decisions
            if decision.account.jumped
        ]
        with self._database.write() as connection:
            guard(connection)
            store.save_cells(
                connection, epoch.number, {name: found.decisions for name, found in decided.items()}
            )
            accounts = {name: found.accounts for name, found in decided.items()}
            previews.save(connection, epoch.number, accounts)
            previews.save_jumps(connection, jumps)
            store.drop_chunks(connection, epoch.number)
            store.mark(
                connection,
                epoch.number,
                closed_at=now,
                publish_at=publish_at,
                oldest_day=self._oldest(epoch),
            )
        metrics.epochs.labels("closed").inc()
        log.info("epoch closed", epoch=epoch.number, practices=len(practices), jumps=len(jumps))

    def decide(self, practice: str, epoch: Epoch, *, released: int) -> Decided:
        """One practice's cells, from what is in the database now. Writes nothing."""
        with self._database.read() as connection:
            if connection.dialect.name == "postgresql":
                # roster and snapshots of one instant, as on SQLite
                connection.execution_options(isolation_level="REPEATABLE READ")
            return decide_practice(
                connection,
                self._catalogue,
                practice,
                epoch,
                released=released,
                oldest_day=self._oldest(epoch),
            )

    def publish_if_due(self, epoch: Epoch, guard: Callable[[Connection], None]) -> bool:
        """Show the epoch to peers: one transaction, one instant for all practices and networks.

        Cells that are held fall back to their earlier release in it.
        """
        now = self._clock()
        if epoch.publish_at is None or now < epoch.publish_at:
            return False
        with self._database.write() as connection:
            guard(connection)
            # a hold that is answered from now on says that it is too late
            store.lock(connection, epoch.number)
            self._let_holds_hold(connection, epoch)
            self._on_publish(connection, epoch)
            releases.record(connection, epoch.number, now)
            store.mark(connection, epoch.number, published_at=now)
            shown = store.states(connection, epoch.number)
        for state, count in shown.items():
            metrics.cells_released.labels(state).inc(count)
        metrics.epochs.labels("published").inc()
        log.info("epoch published", epoch=epoch.number)
        return True

    def _let_holds_hold(self, connection: Connection, epoch: Epoch) -> None:
        held: dict[str, dict[str, Decision]] = {}
        for item in previews.holds(connection, epoch=epoch.number):
            info = self._catalogue.get(item.indicator)
            if item.ended_at is None and info is not None:
                cause = Cause.JUMP if item.kind == previews.JUMP else Cause.HELD
                held.setdefault(item.practice, {})[item.indicator] = decide_held(
                    connection, info, item.practice, epoch.number, cause
                )
        decisions = {practice: found.values() for practice, found in held.items()}
        store.replace_cells(connection, epoch.number, decisions)

    def tidy(self, alive: Callable[[], None], guard: Callable[[Connection], None]) -> int:
        """Pack the snapshots that were released, and delete the others: once an epoch is published,
        a practice at a time. Returns how many practices were gone through; what a crash leaves
        undone is done the next time.
        """
        with self._database.read() as connection:
            newest = store.published(connection)
            if newest is None or store.unpublished(connection) is not None:
                return 0
            practices = store.untidy(connection, self._oldest(newest))
        for practice in practices:
            alive()
            with self._database.write() as connection:
                guard(connection)
                released = store.release_epochs(connection, practice)
                found = retained(connection, released, self._oldest(newest))
                wanted: dict[int, set[str]] = {}
                for indicator, numbers in found.items():
                    for number in numbers:
                        wanted.setdefault(number, set()).add(indicator)
                kept.keep(connection, practice, wanted, upto=newest.number)
        return len(practices)

    def _oldest(self, epoch: Epoch) -> int:
        return _months_before(epoch.day, self._months)


def _months_before(day: int, months: int) -> int:
    """The day so many calendar months earlier; the first of the month is near enough."""
    found = date_of(day)
    index = found.year * 12 + found.month - 1 - months
    return day_of(found.replace(year=index // 12, month=index % 12 + 1, day=1))
