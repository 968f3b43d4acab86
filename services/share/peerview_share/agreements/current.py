"""The agreements as this replica knows them now: polled, compiled, swapped in one assignment.

A withdrawal must hold everywhere within 5 seconds, with or without Kafka. So every replica polls
the database's revision, and decides nothing by what it could not confirm recently.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy.exc import SQLAlchemyError

from peerview_common import metrics
from peerview_share.agreements.index import AgreementIndex, compile_index
from peerview_share.agreements.life import AgreementRecord
from peerview_share.store import agreements as store
from peerview_share.store.database import Database

log = structlog.get_logger("peerview.share.agreements")


class StaleError(Exception):
    """The agreements could not be confirmed recently enough: everything is denied."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """One revision of all agreements. Immutable."""

    revision: int
    records: tuple[AgreementRecord, ...]
    index: AgreementIndex


class CurrentAgreements:
    """``clock`` is milliseconds UTC; ``monotonic`` is seconds that never jump."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], int],
        monotonic: Callable[[], float],
        poll_s: float,
        max_age_s: float,
    ) -> None:
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        self._poll_s = poll_s
        self._max_age_s = max_age_s
        self._compiled = Compiled(-1, (), AgreementIndex())
        self._known: dict[str, tuple[AgreementRecord, ...]] = {}
        self._polled = float("-inf")
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def poll(self) -> None:
        """Ask for the revision; compile anew when it grew or time changed a state.

        Raises SQLAlchemyError when the database does not answer: then the age grows.
        """
        with self._lock:
            # taken before the question is asked, so that the age is never understated
            asked = self._monotonic()
            now = self._clock()
            known = self._compiled
            with self._database.read() as connection:
                revision = store.revision(connection)
                due = known.index.next_change
                if revision < known.revision:
                    # another, older database: nothing that is known may hold there
                    self._known = store.by_agreement(connection)
                elif revision != known.revision:
                    # a change that is newer than this revision may come with it, and comes again
                    self._known |= store.by_agreement(connection, changed_since=known.revision)
            if revision != known.revision or (due is not None and now >= due):
                records = tuple(r for _, found in sorted(self._known.items()) for r in found)
                self._compiled = Compiled(revision, records, compile_index(records, now))
            self._polled = asked

    def age(self) -> float:
        """Seconds since the last poll that the database answered."""
        return self._monotonic() - self._polled

    def get(self) -> Compiled:
        """The agreements to decide by. Raises StaleError when they are too old to trust."""
        if self.age() > self._max_age_s:
            metrics.decisions.labels("stale").inc()
            raise StaleError
        return self._compiled

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="agreements", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.wait(self._poll_s):
            try:
                self.poll()
            except SQLAlchemyError as error:
                log.warning("agreements not polled", error=str(error), age=round(self.age(), 1))
            metrics.revision_age.set(self.age())
