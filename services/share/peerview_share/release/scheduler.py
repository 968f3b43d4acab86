"""Time and cuts, sent as data: every partition of practice.changes gets each tick and each cut."""

from collections.abc import Callable
from typing import Final

import structlog
from sqlalchemy import Connection

from peerview_common.changes import ClockTicked, Control, ReleaseCut, encode, event_type
from peerview_common.cloudevents import headers
from peerview_common.days import day_text
from peerview_share.delivery.producer import LogProducer
from peerview_share.release.calendar import Calendar
from peerview_share.release.epochs import EpochRunningError, Epochs
from peerview_share.store.epochs import Epoch

log = structlog.get_logger("peerview.share.scheduler")

SOURCE: Final = "peerview/share"


class Scheduler:
    """``today`` gives the as-of day, ``expected`` the practices whose snapshots to wait for."""

    def __init__(
        self,
        epochs: Epochs,
        producer: LogProducer,
        topic: str,
        calendar: Calendar,
        *,
        clock: Callable[[], int],
        today: Callable[[], int],
        expected: Callable[[], frozenset[str]],
        look_every_s: float,
    ) -> None:
        self._epochs = epochs
        self._producer = producer
        self._topic = topic
        self._calendar = calendar
        self._clock = clock
        self._today = today
        self._expected = expected
        # a calendar of seconds is looked at more often than the day
        self._look_every_ms = round(look_every_s * 1000)
        if calendar.every_ms is not None:
            self._look_every_ms = min(self._look_every_ms, calendar.every_ms // 4)
        self._looked = 0
        self._ticked: int | None = None
        self._since = 0
        self._untidy = True

    def begin(self) -> None:
        """Called when this replica becomes the leader."""
        self._ticked = None
        self._looked = 0
        self._untidy = True
        last = self._epochs.last()
        self._since = last.opened_at if last else self._clock()

    def tick_and_cut(self) -> None:
        now = self._clock()
        epoch = self._epochs.current()
        if epoch is not None and epoch.sent_at is None:
            self._cut(epoch)
        if now - self._looked < self._look_every_ms:
            return
        self._looked = now
        self._tick()
        if epoch is None and self._expected() and self._calendar.due(self._since, now):
            self._open()

    def close_and_publish(
        self, alive: Callable[[], None], guard: Callable[[Connection], None]
    ) -> None:
        epoch = self._epochs.current()
        if epoch is None:
            return
        expected = self._expected()
        if self._epochs.ready_to_close(epoch, expected):
            self._epochs.close(epoch, expected, alive=alive, guard=guard)
            epoch = self._epochs.current()
        if epoch is not None and epoch.closed_at is not None:
            self._untidy |= self._epochs.publish_if_due(epoch, guard)

    def tidy(self, alive: Callable[[], None], guard: Callable[[Connection], None]) -> None:
        """Once after each publication, and once at the beginning: a crash may have come between."""
        if self._untidy:
            self._epochs.tidy(alive, guard)
            self._untidy = False

    def _open(self) -> None:
        try:
            epoch = self._epochs.open(self._today())
        except EpochRunningError:
            return
        self._since = epoch.opened_at
        self._cut(epoch)

    def _tick(self) -> None:
        day = self._today()
        if day == self._ticked:
            return
        self._send(ClockTicked(f"tick-{day_text(day)}", day, self._clock()))
        self._ticked = day
        log.info("clock ticked", day=day_text(day))

    def _cut(self, epoch: Epoch) -> None:
        """The tick of its day goes before it, on every partition. Sent again after a crash: a
        worker that has done this number skips it."""
        if self._ticked is None or self._ticked < epoch.day:
            self._tick()
        self._send(ReleaseCut(epoch.cut_id, epoch.number, epoch.day, self._clock()))
        self._epochs.mark_sent(epoch)
        self._since = max(self._since, epoch.opened_at)
        log.info("release cut", epoch=epoch.number, day=day_text(epoch.day))

    def _send(self, event: Control) -> None:
        body = encode(event)
        partitions = self._producer.partitions(self._topic)
        if not partitions:
            raise LookupError(f"no topic {self._topic}")
        self._producer.send_all(
            (
                self._topic,
                partition,
                None,
                body,
                headers(event_type(event), SOURCE, event_id=f"{event.id}-{partition}"),
            )
            for partition in partitions
        )
