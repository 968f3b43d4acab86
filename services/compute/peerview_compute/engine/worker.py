"""The engine on Faust: which partitions are ours, what reaches them, and what ends the worker."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import faust
import structlog
from faust.sensors.base import Sensor
from faust.types import TP

from peerview_common import metrics, topics
from peerview_common.settings import ComputeSettings
from peerview_compute.engine.lanes import Lane
from peerview_compute.engine.lease import Lease
from peerview_compute.engine.partition import Partition
from peerview_compute.engine.processor import Event, Failures, Lanes, Limits, Processor
from peerview_compute.engine.standby import Follower
from peerview_compute.engine.states import PartitionStates
from peerview_compute.engine.stores import state_store
from peerview_compute.engine.table import NoRecovery, StateTable, state_topic
from peerview_compute.engine.tail import Changelog, Tail
from peerview_compute.engine.transport import (
    FAUST_LOG,
    METADATA_MAX_AGE_S,
    KeepingFlowControl,
    compress_fast,
    leased_transport,
)
from peerview_compute.model.core import Core

log = structlog.get_logger(__name__)

TICKER_PAUSE_S: Final = 0.004
"""Between slices of a tick: long enough for a record to come through the consumer's hops."""
QUEUE_HIGH_BYTES: Final = 24_000_000
"""Bytes of a partition's records waiting here at which no more are fetched."""
QUEUE_LOW_BYTES: Final = 8_000_000
TAIL_LOOK_S: Final = 10.0
"""How often the ends of quiet changelogs and values are looked at."""
STALL_LOOK_S: Final = 0.5
"""How long a fetched record may take to arrive before it is taken for lost."""
MAX_MENDS: Final = 100
"""Times in a row that missing records are sought before the worker stops."""
LINGER_S: Final = 0.003
"""Between two batches of a lane."""
BACKLOG: Final = 100
"""Records behind the end of the log at which batches may become large."""
BACKLOG_LINGER_S: Final = 0.2
MAX_BATCH_BYTES: Final = 900_000
REQUEST_TIMEOUT_S: Final = 60.0
"""How long a batch may wait for its acknowledgement before the worker stops."""


class RecordsLostError(RuntimeError):
    """Records of the log were not delivered."""


class QuietMonitor(faust.Monitor):
    """A Monitor that measures nothing: Faust's own costs a third of the worker's time."""

    logger = FAUST_LOG

    async def on_start(self) -> None:
        pass


def _quiet(cls: type[faust.Monitor]) -> None:
    """Every sensor of ``Sensor`` does nothing; Monitor overrides them."""
    for name in vars(Sensor):
        if name.startswith("on_") and name not in ("on_start", "on_rebalance_start"):
            setattr(cls, name, getattr(Sensor, name))
    cls._tasks = []  # type: ignore[attr-defined]


def track_nothing(self: Any, tp: TP, offset: int) -> None:
    pass


QuietMonitor.track_tp_end_offset = track_nothing


class Worker:
    """One process's share of the partitions. ``fatal`` is set by whatever must end it."""

    def __init__(self, settings: ComputeSettings, core: Core, url: str) -> None:
        self._settings = settings
        self._core = core
        self.fatal: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._lease = Lease(settings.session_timeout_s, settings.max_poll_gap_s)
        self._failures = Failures(settings.max_failures)
        self._limits = Limits(
            slice_s=settings.tick_slice_ms / 2000,
            snapshot_key=bytes.fromhex(settings.snapshot_key.get_secret_value()),
            new_attempt=lambda: uuid.uuid4().hex,
        )
        self.processors: dict[int, Processor] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._background: list[asyncio.Task[None]] = []
        self._tick_work = asyncio.Event()
        self._holes: dict[int, int] = {}
        self._recovering = asyncio.Lock()
        self._tails: dict[int, Tail] = {}
        self._value_tails: dict[int, Tail] = {}
        self.changes = topics.topic_name(settings.topic_prefix, topics.CHANGES)
        self._states = topics.topic_name(settings.topic_prefix, topics.STATE)
        self._changelog = Changelog(settings.kafka, self._states)
        self._standbys: set[int] = set()
        self._follower = Follower(settings.kafka, self._states, self._read_for_standby)
        values = topics.topic_name(settings.topic_prefix, topics.VALUES)
        self._store = state_store(settings.state_store)
        self._values = Changelog(settings.kafka, values)
        self.app = self._new_app(url)
        self.table = self._new_table()
        self._subscribe()

    # -- wiring

    def _new_app(self, url: str) -> faust.App:
        settings = self._settings
        app = faust.App(
            f"{settings.group}-compute",
            broker=[f"kafka://{server.strip()}" for server in settings.kafka.split(",")],
            canonical_url=url,
            datadir=str(settings.data_dir),
            store="memory://",
            key_serializer="raw",
            value_serializer="raw",
            topic_partitions=settings.partitions,
            topic_replication_factor=settings.replication,
            topic_allow_declare=False,
            topic_disable_leader=True,
            table_standby_replicas=settings.standby_replicas,
            producer_acks=-1,
            producer_compression_type="lz4",
            producer_linger=0,
            producer_max_batch_size=MAX_BATCH_BYTES,
            producer_max_request_size=topics.MAX_MESSAGE_BYTES,
            producer_request_timeout=REQUEST_TIMEOUT_S,
            consumer_auto_offset_reset="earliest",
            consumer_metadata_max_age_ms=round(METADATA_MAX_AGE_S * 1000),
            broker_session_timeout=settings.session_timeout_s,
            broker_heartbeat_interval=settings.heartbeat_s,
            broker_request_timeout=max(90.0, settings.session_timeout_s * 2),
            broker_commit_interval=1.0,
            broker_max_poll_interval=settings.max_poll_gap_s,
            stream_wait_empty=True,
            stream_recovery_delay=0.0,
            web_enabled=False,
            web_in_thread=False,
            Monitor=QuietMonitor,
        )
        app.finalize()
        compress_fast()
        app.flow_control = KeepingFlowControl()
        transport = leased_transport(self._lease, self._safe_offset, self.changes, self._dispatch)
        app.transport = transport(app.conf.broker_consumer, app, loop=None)
        return app

    def _new_table(self) -> StateTable:
        table = StateTable(
            self.app,
            name="patient-state",
            key_type=bytes,
            value_type=bytes,
            partitions=self._settings.partitions,
            changelog_topic=state_topic(self.app, self._states, self._settings.partitions),
        ).ours(
            lambda number: PartitionStates(number, self._core, self._store),
            self._drop,
            self._recovered,
            self.fail,
        )
        tables = self.app.tables
        tables._recovery = NoRecovery(self.app, tables, beacon=tables.beacon, loop=tables.loop)
        tables.add(table)
        return table

    def _subscribe(self) -> None:
        source = self.app.topic(
            self.changes,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            partitions=self._settings.partitions,
            allow_empty=True,
        )

        self.app.on_partitions_revoked.connect(self._drain)

        @self.app.agent(source, name="compute")
        async def compute(stream: Any) -> None:
            """Subscribes; its records take the shorter way of ``transport``."""
            async for _ in stream.noack().events():
                raise RecordsLostError("a record went astray")

    # -- life

    async def start(self) -> None:
        await self.app.start()
        for work in (
            self._tick(),
            self._mend_holes(),
            self._watch_stalls(),
            self._watch_tails(),
            self._watch_polls(),
            self._watch_lag(),
            self._watch_app(),
            self._follower.run(),
        ):
            self._background.append(asyncio.create_task(self._guarded(work)))

    async def stop(self) -> None:
        """Finish what is in hand, commit, and leave the group."""
        self.app.flow_control.suspend()
        await self._drain()
        await self.app.stop()
        for task in (*self._background, *self._tasks.values()):
            task.cancel()

    def fail(self, error: BaseException) -> None:
        """End the worker: a fresh start recovers what this one cannot go on with."""
        if not self.fatal.done():
            self.fatal.set_result(error)

    @property
    def not_ready(self) -> str | None:
        """None once this worker has its partitions, recovered."""
        if self.fatal.done():
            return "stopping"
        app = self.app
        if not app.tables.recovery.completed.is_set():
            return "joining the group"
        if app.rebalancing or app.in_recovery or not app.tables.actives_ready:
            return "recovering"
        return None

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("background work failed")
            self.fail(error)

    # -- partitions come and go

    def _may_go_on(self) -> bool:
        """No rebalance or shutdown has begun that may give our partitions away."""
        return self.app.flow_control.is_active()

    async def _drain(self, *_: object, **__: object) -> None:
        """Everything handed over is in the log, before others may write for our partitions."""
        for processor in list(self.processors.values()):
            await processor.drain()

    def _drop(self, partitions: set[int]) -> None:
        self._standbys -= partitions
        for number in partitions:
            tail = self._tails.pop(number, None)
            if tail is not None:
                self.table.read_to[number] = tail.known
            self._value_tails.pop(number, None)
            processor = self.processors.pop(number, None)
            if processor is None:
                continue
            self._tasks.pop(number).cancel()
            for gauge in (metrics.patients_held, metrics.as_of_day, metrics.lag):
                with contextlib.suppress(KeyError):
                    gauge.remove(str(number))

    async def _recovered(self, numbers: set[int]) -> None:
        """Read what the changelog holds of our partitions, and count it anew."""
        # of the assignment that ``numbers`` are of: another may come while we wait for our turn
        generation = self.app.consumer_generation_id

        def still_ours() -> bool:
            return self.app.consumer_generation_id == generation and not self.fatal.done()

        async with self._recovering:
            if not still_ours():
                return
            began = time.monotonic()
            # a partition that we only followed is read to its end now, by one reader
            self._standbys -= numbers
            self._drop(self.processors.keys() - numbers)
            for number in self.processors:
                self._tasks[number].cancel()
                await self.processors[number].drain()
            states = self.table.states
            spans = {number: self._known(number) for number in numbers}
            # what stayed ours is counted already, and takes in what others wrote meanwhile
            stayed = {
                number: processor.partition
                for number, processor in self.processors.items()
                if processor.partition.states is states.get(number)
            }
            missed: dict[int, list[Any]] = {number: [] for number in stayed}
            read = 0
            if spans:
                async for records in self._changelog.read(spans, still_ours):
                    read += len(records)
                    for record in records:
                        number = record.partition
                        held = states.get(number)
                        if held is None:
                            return  # a rebalance took it away: the next recovery is on its way
                        if number in missed:
                            missed[number].append((record.key, record.value))
                        else:
                            held.read(record.key, record.value)
            starts = await self.app.consumer.starts({TP(self.changes, n) for n in numbers})
            value_ends = await self._values.ends(sorted(numbers))
            if not still_ours():
                return
            self.table.read_to.update(spans)
            for number in sorted(numbers):
                partition = stayed.get(number)
                if partition is None:
                    partition = Partition(states[number], self._core, counted=False)
                    until = time.perf_counter() + self._limits.slice_s
                    for _ in partition.count():
                        if time.perf_counter() >= until:
                            await asyncio.sleep(0)
                            # another rebalance may have closed the partition's store meanwhile
                            if not still_ours() or states.get(number) is not partition.states:
                                return
                            until = time.perf_counter() + self._limits.slice_s
                self._tails[number] = Tail(spans[number])
                known, end = self._value_tails.get(number), value_ends[number]
                self._value_tails[number] = Tail(end)
                self._begin(partition, starts[TP(self.changes, number)])
                self.processors[number].absorb(missed.get(number, ()))
                if known is None or known.holes or known.next < end:
                    # what stands there may be a late writer's: ours are absolute
                    self.processors[number].send_values_again()
                await asyncio.sleep(0)
            self._follow_standbys(numbers)
            metrics.recovery_seconds.set(time.monotonic() - began)
            log.info(
                "recovered",
                partitions=sorted(numbers),
                patients=sum(p.partition.patients for p in self.processors.values()),
                records=read,
                seconds=round(time.monotonic() - began, 3),
            )

    def _follow_standbys(self, ours: set[int]) -> None:
        self._standbys = {tp.partition for tp in self.table.standbys()} - ours
        known = self.table.read_to
        metrics.standby_position.clear()
        for number in self._standbys:
            metrics.standby_position.labels(str(number)).set(known.get(number, 0))
        self._follower.follow({number: known.get(number, 0) for number in self._standbys})

    def _read_for_standby(self, number: int, record: Any) -> bool:
        if number not in self._standbys:
            return False
        self.table.hold(number).read(record.key, record.value)
        self.table.read_to[number] = record.offset + 1
        metrics.standby_position.labels(str(number)).set(record.offset + 1)
        return True

    def _known(self, number: int) -> int:
        """The changelog's offset from which recovery must read."""
        tail = self._tails.get(number)
        return self.table.read_to.get(number, 0) if tail is None else tail.known

    def _begin(self, partition: Partition, start: int) -> None:
        number = partition.number
        processor = self.processors[number] = self._new_processor(partition, start)
        self._tasks[number] = asyncio.create_task(self._guarded(processor.run()))
        processor.send_again(partition.rejoined())
        metrics.patients_held.labels(str(number)).set(partition.patients)
        if partition.as_of is not None:
            metrics.as_of_day.labels(str(number)).set(partition.as_of)
            if not partition.settled or partition.marker.done != partition.as_of:
                processor.start_tick()

    def _new_processor(self, partition: Partition, start: int) -> Processor:
        number = partition.number

        def lane(topic: topics.Topic, newest_of_key: bool) -> Lane:
            return Lane(
                lambda: self.app.producer._producer,
                topics.topic_name(self._settings.topic_prefix, topic),
                number,
                newest_of_key=newest_of_key,
                before_send=self._lease.check,
                on_progress=lambda: processor.settle(),
                on_failure=self.fail,
                linger=lambda: BACKLOG_LINGER_S if processor.behind > BACKLOG else LINGER_S,
            )

        processor = Processor(
            partition,
            start,
            Lanes(
                states=lane(topics.STATE, newest_of_key=True),
                values=lane(topics.VALUES, newest_of_key=True),
                snapshots=lane(topics.SNAPSHOTS, newest_of_key=False),
                dead_letters=lane(topics.DEAD_LETTERS, newest_of_key=False),
            ),
            self._limits,
            self._failures,
            self._may_go_on,
            self._discard,
            self._tick_work.set,
        )
        processor.lanes.states.on_batch = self._tails[number].wrote
        processor.lanes.values.on_batch = self._value_tails[number].wrote
        return processor

    # -- records

    def _dispatch(self, event: Event) -> None:
        processor = self.processors.get(event.message.partition)
        if processor is None:
            self._discard(event)
            return
        offset = event.message.offset
        if offset != processor.expected:
            # one that comes again after Faust sought back, or one after a hole
            self._discard(event)
            if offset > processor.expected:
                self._holes.setdefault(event.message.partition, processor.expected)
            return
        processor.put(event)
        if processor.queued_bytes > QUEUE_HIGH_BYTES:
            self.app.consumer.on_buffer_full(event.message.tp)

    def _discard(self, event: Event) -> None:
        """Forget a record that is not ours any more: whoever has the partition reads it again."""
        self.app.consumer._unacked_messages.discard(event.message)

    def _safe_offset(self, tp: TP) -> int | None:
        processor = self.processors.get(tp.partition)
        return None if processor is None else processor.safe_offset

    # -- in the background

    async def _tick(self) -> None:
        """Slices of ticks, a partition at a time, giving way to records in between."""
        while True:
            await self._tick_work.wait()
            self._tick_work.clear()
            more = True
            while more:
                more = False
                if not self._may_go_on():
                    await asyncio.sleep(0.05)
                    more = True
                    continue
                for processor in list(self.processors.values()):
                    if self._may_go_on() and processor.may_tick and processor.work():
                        more = True
                    if not processor.partition.settled:
                        more = True
                    await asyncio.sleep(TICKER_PAUSE_S)

    async def _watch_tails(self) -> None:
        """Join, and write again, what another worker wrote to the changelogs of our partitions."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(0.5)
            if not self._may_go_on() or self.app.rebalancing:
                continue
            if time.monotonic() - looked > TAIL_LOOK_S:
                looked = time.monotonic()
                await self._look_at_ends()
            for number, tail in list(self._tails.items()):
                if tail.holes and number in self.processors:
                    await self._fill_holes(number, tail)
            for number, tail in list(self._value_tails.items()):
                if tail.holes and number in self.processors:
                    # values are absolute: ours, sent again, put right whatever stands in the holes
                    log.warning("values of another worker overwritten", partition=number)
                    tail.holes.clear()
                    self.processors[number].send_values_again()

    async def _look_at_ends(self) -> None:
        """A foreign record may also stand at the end, after our last one."""
        await self._look_at_end(self._changelog, self._tails, lambda lanes: lanes.states)
        await self._look_at_end(self._values, self._value_tails, lambda lanes: lanes.values)

    async def _look_at_end(
        self, topic: Changelog, tails: dict[int, Tail], lane_of: Callable[[Lanes], Lane]
    ) -> None:
        tickets = {
            number: lane_of(processor.lanes).put_in
            for number, processor in self.processors.items()
            if lane_of(processor.lanes).idle
        }
        if not tickets:
            return
        ends = await topic.ends(list(tickets))
        for number, ticket in tickets.items():
            processor = self.processors.get(number)
            if processor is not None and lane_of(processor.lanes).put_in == ticket:
                tails[number].ends_at(ends[number])

    async def _fill_holes(self, number: int, tail: Tail) -> None:
        spans = {number: tail.known}
        processor = self.processors[number]
        found: dict[bytes, list[bytes | None]] = {}
        holes = list(tail.holes)
        async for records in self._changelog.read(spans, self._may_go_on):
            for record in records:
                if any(start <= record.offset < end for start, end in holes):
                    found.setdefault(record.key, []).append(record.value)
        if self.processors.get(number) is not processor or not self._may_go_on():
            return
        log.warning("records of another worker joined", partition=number, keys=len(found))
        for key, values in found.items():
            processor.absorb((key, value) for value in values)
        tail.holes = tail.holes[len(holes) :]

    async def _watch_polls(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._lease.check_polled()

    async def _watch_app(self) -> None:
        """Faust's services end without a word: a crash of any is ours."""
        app = self.app
        while True:
            await asyncio.sleep(0.2)
            for service in (app, app.consumer, app.producer, app.tables.recovery, app._fetcher):
                if service.crashed:
                    raise RuntimeError(f"{service.label} crashed") from service.crash_reason

    async def _mend_holes(self) -> None:
        """Faust can lose records that it fetched around a rebalance: ask for them again."""
        tries = 0
        while True:
            await asyncio.sleep(0.1)
            holes, self._holes = self._holes, {}
            missing = {
                TP(self.changes, number): offset
                for number, offset in holes.items()
                if number in self.processors and self.processors[number].expected == offset
            }
            if not missing or not self._may_go_on():
                tries = 0
                continue
            tries += 1
            if tries > MAX_MENDS:
                raise RecordsLostError(f"records do not come: {sorted(missing.items())}")
            log.warning("records missing: reading them again", offsets=list(missing.values()))
            await self.app.consumer.seek_wait(missing)

    async def _watch_stalls(self) -> None:
        """A record that was fetched and dropped shows when the next one comes. Where none comes,
        this notices: all is worked off, more was fetched, and so it stays."""
        suspects: dict[int, int] = {}
        while True:
            await asyncio.sleep(STALL_LOOK_S)
            if not self._may_go_on() or self.app.rebalancing:
                suspects.clear()
                continue
            for number, processor in self.processors.items():
                fetched = self.app.consumer.fetched_to(TP(self.changes, number))
                if processor.queued_bytes or fetched is None or fetched <= processor.expected:
                    suspects.pop(number, None)
                elif suspects.get(number) == processor.expected:
                    self._holes.setdefault(number, processor.expected)
                else:
                    suspects[number] = processor.expected

    async def _watch_lag(self) -> None:
        """Fetching goes on when a full queue is emptier; gauges follow."""
        beats = 0
        while True:
            await asyncio.sleep(0.05)
            beats += 1
            for number, processor in list(self.processors.items()):
                processor.tell_metrics()
                tp = TP(self.changes, number)
                if processor.queued_bytes < QUEUE_LOW_BYTES:
                    self.app.consumer.on_buffer_drop(tp)
                with contextlib.suppress(Exception):
                    highwater = self.app.consumer.highwater(tp)
                    if highwater is not None and processor.done_offset >= 0:
                        processor.behind = max(0, highwater - processor.done_offset - 1)
                if beats % 20 == 0:
                    metrics.patients_held.labels(str(number)).set(processor.partition.patients)
                    metrics.lag.labels(str(number)).set(processor.behind)


_quiet(QuietMonitor)
