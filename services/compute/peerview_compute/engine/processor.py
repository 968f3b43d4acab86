"""The records of one partition, worked off one after the other; ticks in between.

A record may be committed only when everything that it led to is in the log, and all earlier ones.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import structlog

from peerview_common import changes, metrics
from peerview_common.changes import (
    BackfillCompleted,
    ChangeSet,
    ClockTicked,
    PatientRekeyed,
    PracticeRekeying,
    ReleaseCut,
)
from peerview_common.cloudevents import JSON, MSGPACK, EventType, header
from peerview_common.snapshots import encode_chunk, split_body
from peerview_compute.engine.deadletters import dead_letter, part_of, part_of_tick, reason_of
from peerview_compute.engine.headers import HeaderFactory
from peerview_compute.engine.lanes import Item, Lane, Later, SendFailed
from peerview_compute.engine.partition import Failure, Partition, Practice, Write
from peerview_compute.engine.records import Marker, Notes, notes_key, patient_key

log = structlog.get_logger(__name__)

_change_sets = metrics.changes.labels("changes")
_patients = {what: metrics.patients.labels(what) for what in ("changed", "unchanged", "failed")}
_evaluations = {cause: metrics.evaluations.labels(cause) for cause in ("change", "tick")}

MAX_IN_FLIGHT: Final = 512
"""Records of a partition handed to the producer and not yet acknowledged."""
MAX_WAITING_BYTES: Final = 16_000_000
"""Bytes of a partition that wait to be sent."""
VALUES_BYTES: Final = 6_000
"""About what a practice's values take."""
SAMPLED: Final = 16
"""Of so many records one is timed: a histogram's observation costs as much as a fact."""
NOTES_BYTES: Final = 500
"""About what a practice's notes take."""
TICK_WAITING_BYTES: Final = 2_000_000
"""Bytes of a partition that wait to be sent at which a tick waits too: what records lead to must
not stand behind all that it writes."""

Tickets: TypeAlias = list[int]
"""One for each lane."""


class Message(Protocol):
    """What is used of a Kafka record."""

    key: bytes | None
    value: bytes | None
    headers: Any
    partition: int
    offset: int


class Event(Protocol):
    """A record with a way to say that it is done."""

    message: Message

    def ack(self) -> bool: ...


class Abandoned(Exception):
    """The partition goes to another worker: what is begun and not in the log is theirs to do."""


class TooManyFailures(RuntimeError):
    """So many patients in a row failed that the fault must be ours: stop, rather than turn the
    whole topic into dead letters."""


@dataclass
class Failures:
    """Consecutive failing patients, over all partitions of the worker."""

    limit: int
    run: int = 0

    def add(self) -> None:
        self.run += 1
        if self.run >= self.limit:
            raise TooManyFailures(f"{self.run} patients in a row failed")

    def success(self) -> None:
        self.run = 0


@dataclass
class Counted:
    """What was counted since the metrics were last told: they are dear, a record at a time."""

    change_sets: int = 0
    facts: int = 0
    changed: int = 0
    unchanged: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Lanes:
    states: Lane
    values: Lane
    snapshots: Lane
    dead_letters: Lane

    def __iter__(self) -> Any:
        return iter((self.states, self.values, self.snapshots, self.dead_letters))


@dataclass(frozen=True)
class Limits:
    slice_s: float
    """Longest stretch of work without giving way to others."""
    snapshot_key: bytes
    new_attempt: Callable[[], str]
    """A name for one attempt to send a snapshot, never used before."""


class Processor:
    """One partition in one place, one record at a time."""

    def __init__(
        self,
        partition: Partition,
        start: int,
        lanes: Lanes,
        limits: Limits,
        failures: Failures,
        may_go_on: Callable[[], bool],
        discard: Callable[[Event], None],
        wake_ticker: Callable[[], None],
    ) -> None:
        self.partition = partition
        self.lanes = lanes
        self._every_lane: tuple[Lane, ...] = tuple(lanes)
        self._limits = limits
        self._failures = failures
        self._may_go_on = may_go_on
        self._discard = discard
        self._wake_ticker = wake_ticker
        self._queue: deque[Event] = deque()
        self._ready = asyncio.Event()
        self._in_flight: deque[tuple[Event, Tickets]] = deque()
        self._room = asyncio.Event()
        self._settled = asyncio.Event()
        self._marking: asyncio.Task[None] | None = None
        self._counted = Counted()
        self.queued_bytes = 0
        self.expected = start
        """The offset of the next record to be put in."""
        self.safe_offset = start
        """Everything before it is in the log with all that it led to: what may be committed."""
        self.done_offset = start - 1
        """The last record worked off."""
        self.behind = 0
        """Records of the log that are not worked off yet, as far as is known."""

    # -- records

    def put(self, event: Event) -> None:
        """Take the next record; no other than the ``expected`` one may be put in."""
        self.expected = event.message.offset + 1
        self._queue.append(event)
        self.queued_bytes += len(event.message.value or b"")
        self._ready.set()

    async def run(self) -> None:
        """Work off what is put in, until cancelled. Raises what must stop the worker."""
        until = time.perf_counter() + self._limits.slice_s
        while True:
            while self._queue:
                if time.perf_counter() >= until:
                    await asyncio.sleep(0)
                    until = time.perf_counter() + self._limits.slice_s
                    if not self._queue:
                        break
                event = self._queue.popleft()
                self.queued_bytes -= len(event.message.value or b"")
                if not self._may_go_on():
                    self._discard(event)
                    continue
                try:
                    await self._work_off(event)
                except Abandoned:
                    self._discard(event)
            self._ready.clear()
            await self._ready.wait()

    async def _work_off(self, event: Event) -> None:
        message = event.message
        began = time.perf_counter()
        headers = raw_headers(message.headers)
        try:
            change = changes.decode(header(headers, "ce_type"), message.value or b"")
        except Exception as error:
            # whatever it is, it is the record's fault alone
            metrics.changes.labels("other").inc()
            self._put_dead_letter(message, headers, message.value, "decode", error)
        else:
            match change:
                case ChangeSet():
                    self._counted.change_sets += 1
                    await self._change(change, message, headers)
                case ClockTicked():
                    metrics.changes.labels("tick").inc()
                    self._tick(change, message, headers)
                case ReleaseCut():
                    metrics.changes.labels("cut").inc()
                    await self._cut(change, message, headers)
                case PatientRekeyed():
                    metrics.changes.labels("rekeyed").inc()
                    await self._rekey(change, message, headers)
                case PracticeRekeying():
                    metrics.changes.labels("rekeying").inc()
                    self._rekeying(change, message, headers)
                case BackfillCompleted():
                    metrics.changes.labels("backfill").inc()
                    self._backfill(change, message, headers)
        self.done_offset = message.offset
        if message.offset % SAMPLED == 0:
            metrics.batch_seconds.observe(time.perf_counter() - began)
        self._in_flight.append((event, [lane.put_in for lane in self._every_lane]))
        self.settle()
        while len(self._in_flight) >= MAX_IN_FLIGHT or not self.has_room:
            self._room.clear()
            for lane in self._every_lane:
                lane.hurry()
            await self._room.wait()

    def settle(self) -> None:
        """Acknowledge, in order, the records of which everything is in the log."""
        in_flight = self._in_flight
        while in_flight:
            event, tickets = in_flight[0]
            for lane, ticket in zip(self._every_lane, tickets, strict=True):
                if lane.acknowledged < ticket:
                    self._room.set()
                    return
            in_flight.popleft()
            self.safe_offset = event.message.offset + 1
            event.ack()
        self._room.set()

    async def drain(self) -> None:
        """Wait until everything handed over is in the log."""
        for lane in self.lanes:
            await lane.reached(lane.put_in)

    # -- kinds of records

    async def _change(
        self, change: ChangeSet, message: Message, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        partition = self.partition
        practice = partition.practice(change.practice)
        made = HeaderFactory(change.practice, header(headers, "traceparent"))
        writes: list[Write] = []
        changed = failed = 0
        until = time.perf_counter() + self._limits.slice_s
        for part in change.patients:
            try:
                write = partition.apply(practice, part)
            except Exception as error:
                failed += 1
                value = part_of(change, part)
                self._put_dead_letter(message, headers, value, "apply", error)
                self._failures.add()
                continue
            self._failures.success()
            if write is not None:
                changed += 1
                writes.append(write)
            if time.perf_counter() >= until:
                # hand over what there is, and give way: the health check waits
                self._send_states(writes, made)
                writes = []
                await asyncio.sleep(0)
                until = time.perf_counter() + self._limits.slice_s
        counted = self._counted
        counted.facts += sum([len(part.facts) for part in change.patients])
        counted.changed += changed
        counted.unchanged += len(change.patients) - changed - failed
        counted.failed += failed
        self._send_states(writes, made)
        if partition.note_change(
            practice, change.data_through, message.offset, change.codes, change.received
        ):
            self._send_notes(practice, made)
        self._send_values(practice, made)

    async def _rekey(
        self, event: PatientRekeyed, message: Message, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        partition = self.partition
        practice = partition.practice(event.practice)
        # the emptied state must not come before the joined one: in the place of a record that
        # waits it could, a batch earlier, and a crash in between would lose the facts
        key = patient_key(event.practice, event.old)
        while self.lanes.states.waits(key):
            await self._reach(self.lanes.states, self.lanes.states.put_in)
        made = HeaderFactory(event.practice, header(headers, "traceparent"))
        try:
            writes = partition.rekey(practice, event.old, event.new, event.old_source)
        except Exception as error:
            self._counted.failed += 1
            self._put_dead_letter(message, headers, message.value, "rekey", error)
            self._failures.add()
            return
        self._failures.success()
        self._send_states(writes, made)
        self._note(practice, Notes(position=message.offset), made)
        self._send_values(practice, made)

    def _rekeying(
        self, event: PracticeRekeying, message: Message, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        """The practice's figures are held from here on, or are so no longer."""
        known = Notes(position=message.offset).after_rekeying(event)
        self._note_alone(event.practice, known, headers)

    def _backfill(
        self, event: BackfillCompleted, message: Message, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        known = Notes(position=message.offset, codes={event.codes: event.at})
        self._note_alone(event.practice, known, headers)

    def _note_alone(self, code: str, known: Notes, headers: Sequence[tuple[str, bytes]]) -> None:
        practice = self.partition.practice(code)
        made = HeaderFactory(code, header(headers, "traceparent"))
        self._note(practice, known, made)
        self._send_values(practice, made)

    def _tick(
        self, event: ClockTicked, message: Message, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        """Only begin it: the worker's ticker does the rest, and recovery would."""
        write = self.partition.tick(event.day, message.offset)
        if write is None:
            return
        metrics.as_of_day.labels(str(self.partition.number)).set(event.day)
        self._send_marker(write, HeaderFactory("", header(headers, "traceparent")))
        self.start_tick()

    async def _cut(
        self, event: ReleaseCut, message: Message, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        """The barrier: every practice's snapshot is in the log, then the marker; then read on."""
        partition = self.partition
        known = log.bind(partition=partition.number, cut=event.cut, offset=message.offset)
        if event.cut <= partition.marker.cut:
            known.info("cut skipped", done=partition.marker.cut)
            return
        as_of = partition.as_of
        if as_of is None or event.day > as_of:
            known.error("cut refused", day=event.day, as_of=as_of)
            ahead = ValueError(f"a cut of day {event.day}, ahead of the as-of day {as_of}")
            self._put_dead_letter(message, headers, message.value, "cut", ahead)
            return
        trace = header(headers, "traceparent")
        while not partition.settled:
            await self._step(self._settled.wait(), timeout=0.05)
        for code in sorted(partition.practices):
            practice = partition.practices[code]
            body = b""
            until = time.perf_counter() + self._limits.slice_s
            for found in partition.snapshot(practice, event.day, self._limits.snapshot_key):
                if found is not None:
                    body = found
                elif time.perf_counter() >= until:
                    await self._step(asyncio.sleep(0.001))
                    until = time.perf_counter() + self._limits.slice_s
            made = HeaderFactory(code, trace)
            ticket = self.lanes.snapshots.put(
                Item(code.encode(), encode_chunk(chunk), made.of(EventType.SNAPSHOT, MSGPACK))
                for chunk in split_body(
                    body,
                    practice=code,
                    cut=event.cut,
                    cut_id=event.id,
                    attempt=self._limits.new_attempt(),
                    as_of=event.day,
                    data_through=practice.states.notes.data_through,
                    definitions=partition.core.definitions.hash_text,
                )
            )
            await self._reach(self.lanes.snapshots, ticket)
            metrics.snapshots.inc()
        write = partition.mark(Marker(cut=event.cut, offset=message.offset))
        await self._reach(self.lanes.states, self._send_marker(write, HeaderFactory("", trace)))
        known.info("cut done", practices=len(partition.practices), day=event.day)

    async def _step(self, waiting: Any, timeout: float | None = None) -> None:
        """Wait a little, but not into the time of the partition's next owner."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(waiting, timeout)
        if not self._may_go_on():
            raise Abandoned

    async def _reach(self, lane: Lane, ticket: int) -> None:
        await lane.reached(ticket)
        if not self._may_go_on():
            raise Abandoned

    @property
    def has_room(self) -> bool:
        """Whether more may be handed to the producer."""
        waiting = sum([lane.waiting_bytes for lane in self._every_lane])
        return waiting <= MAX_WAITING_BYTES

    @property
    def may_tick(self) -> bool:
        """Whether a slice of a tick may be worked off now."""
        return self.lanes.states.waiting_bytes <= TICK_WAITING_BYTES

    # -- ticks

    def work(self) -> bool:
        """One slice of the tick; whether there is more. Called by the worker's ticker."""
        partition = self.partition
        if partition.settled:
            return False
        self._count_evaluations("change")
        until = time.perf_counter() + self._limits.slice_s
        writes, finished, failures = partition.work(until)
        self._count_evaluations("tick")
        for failure in failures:
            self._put_failed_tick(failure)
            self._failures.add()
        made = HeaderFactory(finished.code if finished is not None else "")
        self._send_states(writes, made)
        if finished is not None:
            self._send_values(finished, made)
        if not partition.settled:
            return True
        self._finish_tick(made)
        return False

    def start_tick(self) -> None:
        """Have the ticker do what is due, after a tick or after recovery."""
        if self.partition.settled:
            self._finish_tick(HeaderFactory(""))
        else:
            self._settled.clear()
            self._wake_ticker()

    def _finish_tick(self, made: HeaderFactory) -> None:
        """The marker must not say that values were sent before they are in the log."""
        lane, ticket, as_of = self.lanes.values, self.lanes.values.put_in, self.partition.as_of
        self._settled.set()
        if self.partition.marker.done == as_of:
            return

        async def mark() -> None:
            try:
                await lane.reached(ticket)
            except SendFailed:
                return
            if self._may_go_on():
                self._send_marker(self.partition.mark(Marker(done=as_of)), made)

        self._marking = asyncio.get_running_loop().create_task(mark())

    # -- sending

    def absorb(self, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Join records that somebody else wrote, and write what belongs under their keys."""
        for key, value in records:
            write, practice = self.partition.absorb(key, value)
            if write is not None:
                self.send_again([write])
            if practice is not None:
                self._send_values(practice, HeaderFactory(practice.code))
        if not self.partition.settled:
            self.start_tick()

    def send_again(self, writes: Iterable[Write]) -> None:
        """Write records anew that were joined out of several."""
        self._send_states(list(writes), HeaderFactory(""))

    def send_values_again(self) -> None:
        """Publish the present values of every practice."""
        for practice in self.partition.practices.values():
            self._send_values(practice, HeaderFactory(practice.code))

    def _note(self, practice: Practice, update: Notes, made: HeaderFactory) -> None:
        if self.partition.note(practice, update):
            self._send_notes(practice, made)

    def _send_notes(self, practice: Practice, made: HeaderFactory) -> None:
        """The notes of a practice are written once a batch, as they are when it is sent."""

        def make() -> list[Item]:
            key, value = self.partition.notes_of(practice)
            return [Item(key, value, made.of(EventType.STATE, MSGPACK))]

        self.lanes.states.put_later(notes_key(practice.code), Later(make, NOTES_BYTES))

    def _send_states(self, writes: Sequence[Write], made: HeaderFactory) -> None:
        self.lanes.states.put(
            Item(key, value, made.of(EventType.STATE, MSGPACK)) for key, value in writes
        )

    def _send_marker(self, write: Write, made: HeaderFactory) -> int:
        return self.lanes.states.put(
            [Item(write.key, write.value, made.of(EventType.MARKER, MSGPACK))]
        )

    def _send_values(self, practice: Practice, made: HeaderFactory) -> None:
        """All values of a practice, as they are when the lane is about to send them."""

        def make() -> list[Item]:
            return [
                Item(key, value, made.of(EventType.VALUE, JSON))
                for key, value in self.partition.values(practice)
            ]

        self.lanes.values.put_later(practice.code, Later(make, VALUES_BYTES))

    def _put_dead_letter(
        self,
        message: Message,
        headers: Sequence[tuple[str, bytes]],
        value: bytes | None,
        stage: str,
        error: BaseException,
    ) -> None:
        where = {"partition": message.partition, "offset": message.offset}
        log.error("dead letter", stage=stage, error=type(error).__name__, **where)
        metrics.dead_letters.labels(stage).inc()
        self.lanes.dead_letters.put(
            [
                dead_letter(
                    message.key or b"",
                    value,
                    headers,
                    reason=reason_of(error),
                    stage=stage,
                    **where,
                )
            ]
        )

    def _put_failed_tick(self, failure: Failure) -> None:
        """There is no record to blame: the part is one without facts, at the tick's offset."""
        partition, offset = self.partition.number, self.partition.marker.ticked
        error = type(failure.error).__name__
        log.error("dead letter", stage="tick", error=error, partition=partition, offset=offset)
        metrics.dead_letters.labels("tick").inc()
        made = HeaderFactory(failure.practice)
        headers = made.of(EventType.CHANGES, MSGPACK)
        self.lanes.dead_letters.put(
            [
                dead_letter(
                    failure.practice.encode(),
                    part_of_tick(failure.practice, failure.patient, headers),
                    headers,
                    reason=reason_of(failure.error),
                    stage="tick",
                    partition=partition,
                    offset=offset,
                )
            ]
        )

    def tell_metrics(self) -> None:
        """Hand what was counted to the metrics; the worker does so several times a second."""
        counted, self._counted = self._counted, Counted()
        _change_sets.inc(counted.change_sets)
        metrics.facts.inc(counted.facts)
        for what, counter in _patients.items():
            counter.inc(getattr(counted, what))
        self._count_evaluations("change")

    def _count_evaluations(self, cause: str) -> None:
        _evaluations[cause].inc(self.partition.evaluations)
        self.partition.evaluations = 0


def raw_headers(found: Any) -> list[tuple[str, bytes]]:
    """Headers as Kafka has them, whatever Faust made of them."""
    if not found:
        return []
    return list(found.items()) if isinstance(found, dict) else list(found)
