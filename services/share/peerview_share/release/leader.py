"""The leader's loop: time, cuts, epochs, views. One replica runs it, by a lease in the database."""

import threading
from collections.abc import Callable
from typing import Final

import structlog
from kafka.errors import KafkaError
from sqlalchemy.exc import SQLAlchemyError

from peerview_common import metrics
from peerview_share.agreements.current import CurrentAgreements, StaleError
from peerview_share.consume.reader import TopicReader
from peerview_share.consume.snapshots import SnapshotAssembler
from peerview_share.delivery.topics import Outbox, Standing, ViewPublisher
from peerview_share.release.nightly import NightlyAttack
from peerview_share.release.scheduler import Scheduler
from peerview_share.store.leases import Lease, LostLeaseError

log = structlog.get_logger("peerview.share.leader")

POLL_MS: Final = 100
"""How long one turn waits for snapshots, and so how promptly the rest is looked at."""
RETRY_S: Final = 1.0
SERVE_EVERY_S: Final = 1.0


class Leader:
    def __init__(
        self,
        lease: Lease,
        scheduler: Scheduler,
        assembler: SnapshotAssembler,
        publisher: ViewPublisher,
        outbox: Outbox,
        nightly: NightlyAttack,
        agreements: CurrentAgreements,
        open_reader: Callable[[dict[int, int]], TopicReader],
        *,
        renew_every_s: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._lease = lease
        self._scheduler = scheduler
        self._assembler = assembler
        self._publisher = publisher
        self._outbox = outbox
        self._nightly = nightly
        self._agreements = agreements
        self._open_reader = open_reader
        self._renew_every_s = renew_every_s
        self._monotonic = monotonic
        self._renewed = float("-inf")
        self._served = float("-inf")
        self._synced: tuple[int, int | None, Standing] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leader", daemon=True)
        self.problem: str | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(30)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if self._lease.hold():
                    metrics.scheduler_leader.set(1)
                    self._lead()
            except LostLeaseError:
                log.info("another replica leads")
            except (KafkaError, SQLAlchemyError, StaleError, LookupError, OSError) as error:
                # anybody may read it in /health/ready: what the text names is for the log
                self.problem = type(error).__name__
                log.warning("the leader's work failed, trying again", error=repr(error))
            except Exception:
                # a defect must not end the thread in silence: the log says so at every turn
                self.problem = "an unexpected error, see the log"
                log.exception("the leader's work failed unexpectedly")
            metrics.scheduler_leader.set(0)
            self._stop.wait(RETRY_S)

    def _lead(self) -> None:
        self._renewed = self._monotonic()
        self._synced = None
        reader = self._open_reader(self._assembler.offsets())
        try:
            self._scheduler.begin()
            self._nightly.begin()
            while not self._stop.is_set():
                self._alive()
                self._turn(reader)
                self.problem = None
            self._lease.release()
        finally:
            reader.close()
            self._nightly.end()

    def _turn(self, reader: TopicReader) -> None:
        self._outbox.flush()
        self._scheduler.tick_and_cut()
        self._assembler.take(reader.poll(POLL_MS))
        self._scheduler.close_and_publish(self._meanwhile, self._lease.guard)
        self._sync_views()
        self._scheduler.tidy(self._meanwhile, self._lease.guard)
        self._nightly.turn(self._lease.guard)

    def _sync_views(self) -> None:
        try:
            compiled = self._agreements.get()
        except StaleError:
            return
        # the next moment of change is in it, for time alone can end a grant
        seen = compiled.revision, compiled.index.next_change, self._publisher.standing(compiled)
        if seen != self._synced:
            self._publisher.sync(compiled)
            self._synced = seen

    def _meanwhile(self) -> None:
        """Between practices of a long piece of work: what must not wait for its end, such as the
        removal of cells after a withdrawal."""
        self._alive()
        if self._monotonic() - self._served >= SERVE_EVERY_S:
            self._outbox.flush()
            self._sync_views()
            self._served = self._monotonic()

    def _alive(self) -> None:
        """Keep the lease; raises LostLeaseError when it went to another replica."""
        if self._monotonic() - self._renewed < self._renew_every_s:
            return
        if not self._lease.hold():
            raise LostLeaseError
        self._renewed = self._monotonic()
