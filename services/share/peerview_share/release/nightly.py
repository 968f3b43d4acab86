"""The attacker's nightly run over everything that was released. The leader's, beside its loop."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from sqlalchemy import Connection

from peerview_common import metrics
from peerview_common.catalogue import IndicatorInfo
from peerview_common.days import LONDON, from_millis
from peerview_share.attack.attacker import attack
from peerview_share.attack.finding import Kind
from peerview_share.store import attacks, release_log
from peerview_share.store.attacks import Ended
from peerview_share.store.database import Database

log = structlog.get_logger("peerview.share.attack")

RETRY_MS: Final = 600_000
"""After a failure it is tried again so much later."""


class _StoppedError(Exception):
    """This replica does not lead any more."""


class NightlyAttack:
    """A thread of its own while it runs: the leader's loop must not wait for it.

    ``hour`` is the hour of Europe/London from which the day's attack is due; ``clock`` is
    milliseconds UTC. `begin`, `turn` and `end` are called by the leader's thread alone.
    """

    def __init__(
        self,
        database: Database,
        catalogue: Mapping[str, IndicatorInfo],
        *,
        clock: Callable[[], int],
        hour: int,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._clock = clock
        self._hour = hour
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._last: int | None = None
        self._not_before = 0

    def begin(self) -> None:
        """This replica leads from now on: what the last attack found is its to tell."""
        self._stop.clear()
        with self._database.read() as connection:
            ended = attacks.last(connection)
        self._last = ended.at if ended else None
        if ended is not None:
            _tell(ended)

    def turn(self, guard: Callable[[Connection], None]) -> None:
        """Start it when it is due. ``guard`` raises inside a transaction when another leads."""
        running = self._thread is not None and self._thread.is_alive()
        if running or not self._due(self._clock()):
            return
        # a run that fails leaves this as it is
        self._not_before = self._clock() + RETRY_MS
        self._thread = threading.Thread(target=self._run, args=(guard,), name="attack", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """This replica leads no more."""
        self._stop.set()
        self.join()
        for kind in Kind:
            metrics.attack_finds.labels(kind.value).set(0)

    def join(self, timeout: float = 30) -> None:
        if self._thread is not None:
            self._thread.join(timeout)

    def _due(self, now: int) -> bool:
        local = from_millis(now).astimezone(LONDON)
        if now < self._not_before or local.hour < self._hour:
            return False
        return (
            self._last is None or from_millis(self._last).astimezone(LONDON).date() < local.date()
        )

    def _alive(self) -> None:
        if self._stop.is_set():
            raise _StoppedError

    def _run(self, guard: Callable[[Connection], None]) -> None:
        try:
            ended = self._attack(guard)
        except _StoppedError:
            log.info("the attack was given up: another replica leads")
            return
        except Exception:
            # whatever it was: an attacker that is silent would look like one that found nothing
            metrics.attack_failures.inc()
            log.exception("the attack failed, trying again later")
            return
        self._last = ended.at
        self._not_before = 0
        _tell(ended)
        if ended.finds:
            log.error(
                "the attacker found ways to learn about few people: read peerview attack, retract",
                finds=sum(ended.finds.values()),
                kinds=ended.finds,
                alert=True,
            )
        else:
            log.info("the attacker found nothing", seconds=round(ended.seconds, 1))

    def _attack(self, guard: Callable[[Connection], None]) -> Ended:
        began = time.perf_counter()
        with self._database.read() as connection:
            report = attack(release_log.read(connection, self._catalogue), self._alive)
        seconds = time.perf_counter() - began
        with self._database.write() as connection:
            guard(connection)
            return attacks.append(connection, report, at=self._clock(), seconds=seconds)


def _tell(ended: Ended) -> None:
    for kind in Kind:
        metrics.attack_finds.labels(kind.value).set(ended.finds.get(kind.value, 0))
    metrics.attack_ended.set(ended.at / 1000)
    metrics.attack_seconds.set(ended.seconds)
