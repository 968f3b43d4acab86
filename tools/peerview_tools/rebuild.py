"""`peerview rebuild`: every practice's values once more, beside the live ones and without them.

Reads `patient.state` and what `practice.changes` has beyond it, as a member of no consumer group:
the live workers notice nothing. One partition after the other, so that one fits into memory.
"""

import sys
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from peerview_common import topics
from peerview_common.cloudevents import JSON, EventType
from peerview_common.codes import CodeListError
from peerview_common.settings import ComputeSettings
from peerview_common.topics import Topic
from peerview_common.values import IndicatorValue, decode_value
from peerview_compute.engine.headers import HeaderFactory
from peerview_compute.engine.partition import Partition
from peerview_compute.engine.replay import Replay
from peerview_compute.engine.states import PartitionStates
from peerview_compute.model.core import Core
from peerview_compute.model.definitions import DefinitionError, load_definitions
from peerview_tools.codes import wide_console
from peerview_tools.demo.steps import make_console

EQUAL, DIFFERENT, REFUSED = 0, 1, 2
SILENCE_S: Final = 30.0
"""Without a record for so long, the broker is taken for gone."""
LOOK_S: Final = 0.3
SHOWN: Final = 200
"""Rows of the table at most."""

Told = Callable[[str, int, int], None]
"""Progress: what is read, how many, of how many."""


class RebuildError(Exception):
    """The log cannot be read."""


@dataclass(frozen=True)
class Difference:
    practice: str
    indicator: str
    old: IndicatorValue | None
    new: IndicatorValue | None


@dataclass
class Result:
    """What comparing came to; grows partition by partition."""

    practices: int = 0
    compared: int = 0
    identical: int = 0
    """To the byte."""
    differences: list[Difference] = field(default_factory=list)
    moving: set[str] = field(default_factory=set)
    """Practices of which the live values stayed at another place of the log."""
    failed: int = 0
    to_write: list[tuple[int, str, bytes, bytes]] = field(default_factory=list)
    """`(partition, practice, key, value)` of every new value whose bytes are others."""

    @property
    def equal(self) -> bool:
        return not self.differences and not self.moving


class Log:
    """Reads single partitions between offsets. Member of no group."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self._prefix = prefix
        self._bootstrap = bootstrap
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False
        )

    def close(self) -> None:
        self._consumer.close()

    def place(self, topic: Topic, number: int) -> TopicPartition:
        return TopicPartition(topics.topic_name(self._prefix, topic), number)

    def partitions(self) -> int:
        found = self._consumer.partitions_for_topic(self.place(topics.CHANGES, 0).topic)
        if not found:
            raise RebuildError(
                "there is no topic practice.changes: is PEERVIEW_TOPIC_PREFIX right?"
            )
        return len(found)

    def span(self, place: TopicPartition) -> tuple[int, int]:
        """The first offset that is there, and the one after the last."""
        start = self._consumer.beginning_offsets([place])[place]
        return start, self._consumer.end_offsets([place])[place]

    def committed(self, group: str) -> dict[int, int]:
        """By partition of `practice.changes`, how far the workers say that they have come."""
        admin = KafkaAdminClient(bootstrap_servers=self._bootstrap)
        try:
            found = admin.list_group_offsets({group: None}).get(group, {})
        finally:
            admin.close()
        name = self.place(topics.CHANGES, 0).topic
        return {
            place.partition: known.offset
            for place, known in found.items()
            if place.topic == name and known.offset >= 0
        }

    def read(self, place: TopicPartition, start: int, end: int) -> Iterator[Any]:
        """Every record from `start` up to, but not, `end`. Raises RebuildError."""
        if start >= end:
            return
        consumer = self._consumer
        consumer.assign([place])
        consumer.seek(place, start)
        heard = time.monotonic()
        while consumer.position(place) < end:
            for batch in consumer.poll(timeout_ms=500).values():
                heard = time.monotonic()
                for record in batch:
                    if record.offset < end:
                        yield record
            if time.monotonic() - heard > SILENCE_S:
                raise RebuildError(f"nothing came of {place.topic} for {SILENCE_S:.0f} s")


class Live:
    """The newest of `indicator.values` in one partition, read on as it grows."""

    def __init__(self, log: Log, number: int, since: int) -> None:
        self._log = log
        self._place = log.place(topics.VALUES, number)
        self._since = since
        self._read = 0
        self.newest: dict[bytes, tuple[bytes, IndicatorValue]] = {}
        self._at: dict[tuple[bytes, int], bytes] = {}

    def read_on(self) -> None:
        start, end = self._log.span(self._place)
        for record in self._log.read(self._place, max(start, self._read), end):
            if record.value is None:
                self.newest.pop(record.key, None)
                continue
            value = decode_value(record.value)
            self.newest[record.key] = (record.value, value)
            if value.source.offset >= self._since:
                self._at[record.key, value.source.offset] = record.value
        self._read = end

    def at(self, key: bytes, offset: int) -> bytes | None:
        """The value of just this place of the log if there was one, else the newest."""
        newest = self.newest.get(key)
        return self._at.get((key, offset), None if newest is None else newest[0])

    def practices(self) -> dict[str, set[bytes]]:
        found: dict[str, set[bytes]] = {}
        for key, (_, value) in self.newest.items():
            found.setdefault(value.practice, set()).add(key)
        return found


def rebuild(
    settings: ComputeSettings,
    core: Core,
    *,
    practices: Collection[str] = (),
    from_log: bool = False,
    patience_s: float = 10.0,
    told: Told = lambda what, done, total: None,
) -> Result:
    """Compute and compare every value, or those of `practices`. Raises RebuildError, KafkaError."""
    result = Result()
    log = Log(settings.kafka, settings.topic_prefix)
    try:
        committed = log.committed(f"{settings.group}-compute")
        count = log.partitions()
        wanted = {topics.practice_partition(one, count) for one in practices} or range(count)
        for number in sorted(wanted):
            _partition(log, core, number, committed.get(number), practices, from_log, patience_s,
                       result, told)  # fmt: skip
    finally:
        log.close()
    return result


def _partition(
    log: Log,
    core: Core,
    number: int,
    committed: int | None,
    practices: Collection[str],
    from_log: bool,
    patience_s: float,
    result: Result,
    told: Told,
) -> None:
    states = PartitionStates(number, core)
    place = log.place(topics.STATE, number)
    first, last = log.span(place)
    label = f"partition {number}: "
    if not from_log:
        for record in log.read(place, first, last):
            states.read(record.key, record.value)
            told(f"{label}states", record.offset + 1 - first, last - first)
    replay = Replay(Partition(states, core))
    source = log.place(topics.CHANGES, number)
    beginning, _ = log.span(source)
    there = states.practices or states.marker.as_of is not None
    # a state that is there holds all that was committed; one that was deleted, nothing
    reached = max(beginning, committed or 0) if there else beginning
    live = Live(log, number, reached)
    deadline = time.monotonic() + patience_s
    while True:
        start, (_, end) = reached, log.span(source)
        for record in log.read(source, start, end):
            replay.take(record.offset, record.headers, record.value)
            told(f"{label}changes", record.offset + 1 - start, end - start)
        reached = max(start, end)
        replay.settle()
        live.read_on()
        known = live.practices()
        chosen = [
            one
            for one in sorted({*known, *replay.partition.practices})
            if not practices or one in practices
        ]
        ours = {one: replay.values(one) for one in chosen}
        apart = {one for one in chosen if _apart(ours[one], live)}
        if not apart or time.monotonic() >= deadline:
            break
        time.sleep(LOOK_S)
    result.failed += replay.failed
    for one in chosen:
        result.practices += 1
        if one in apart:
            result.moving.add(one)
        for key in sorted({*ours[one], *known.get(one, ())}):
            _compare(number, one, key, ours[one].get(key), live, one in apart, result)


def _offset(values: dict[bytes, bytes]) -> int | None:
    return next((decode_value(value).source.offset for value in values.values()), None)


def _apart(ours: dict[bytes, bytes], live: Live) -> bool:
    """Whether the live values are of another place of the log than ours; not where one of us has
    none at all, which no waiting mends."""
    offset = _offset(ours)
    if offset is None:
        return False
    found = [live.at(key, offset) for key in ours]
    return any(value is not None and decode_value(value).source.offset != offset for value in found)


def _compare(
    number: int,
    practice: str,
    key: bytes,
    new: bytes | None,
    live: Live,
    moving: bool,
    result: Result,
) -> None:
    offset = decode_value(new).source.offset if new is not None else -1
    old = live.at(key, offset)
    result.compared += 1
    if new is not None and not moving and new != old:
        result.to_write.append((number, practice, key, new))
    if old == new:
        result.identical += 1
        return
    a, b = (None if value is None else decode_value(value) for value in (old, new))
    if a is None or b is None or _meaning(a) != _meaning(b):
        indicator = key.decode().partition("/")[2]
        result.differences.append(Difference(practice, indicator, a, b))


def _meaning(value: IndicatorValue) -> tuple[object, ...]:
    """All but where it was computed, and by which definitions."""
    return (
        value.denominator, value.numerator, value.met, value.miss, value.exception, value.excluded,
        value.objected, value.state, value.version, value.as_of, value.data_through,
    )  # fmt: skip


# -- the command


def words(value: IndicatorValue | None, other: IndicatorValue | None) -> str:
    """A value in a cell of the table; what is the same in both is left out."""
    if value is None:
        return "none"
    parts = [f"{value.numerator:,}/{value.denominator:,}"]
    parts += [
        f"{name} {getattr(value, name):,}"
        for name in ("met", "miss", "exception", "excluded", "objected")
        if other is None or getattr(other, name) != getattr(value, name)
    ]
    parts += [
        str(getattr(value, name))
        for name in ("version", "state", "as_of", "data_through")
        if other is not None and getattr(other, name) != getattr(value, name)
    ]
    return ", ".join(parts)


def tell(result: Result, core: Core) -> None:
    if result.differences:
        table = Table("practice", "indicator", "old", "new", title="Differences")
        result.differences.sort(key=lambda one: (one.practice, one.indicator))
        for one in result.differences[:SHOWN]:
            table.add_row(
                one.practice, one.indicator, words(one.old, one.new), words(one.new, one.old)
            )
        wide_console().print(table)
        if len(result.differences) > SHOWN:
            print(f"... and {len(result.differences) - SHOWN:,} more")
    if result.moving:
        some = ", ".join(sorted(result.moving)[:10])
        print(f"{len(result.moving)} practices whose live values are of another place of the log "
              f"(is a worker running, and has it caught up?): {some}")  # fmt: skip
    if result.failed:
        print(f"{result.failed:,} records or patients' parts failed; a worker makes dead letters")
    definitions = core.definitions
    print(
        f"{result.practices:,} practices, {result.compared:,} values: {result.identical:,} "
        f"identical to the byte, {len(result.differences):,} different; "
        f"definitions {definitions.hash_text}, code list {definitions.codes_version}"
    )


def switch(settings: ComputeSettings, result: Result) -> int:
    """Publish the new values; how many."""
    name = topics.topic_name(settings.topic_prefix, topics.VALUES)
    producer = KafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    try:
        sent = [
            producer.send(
                name,
                key=key,
                value=value,
                partition=number,
                headers=HeaderFactory(practice).of(EventType.VALUE, JSON),
            )
            for number, practice, key, value in result.to_write
        ]
        for one in sent:
            one.get(timeout=60)
    finally:
        producer.close()
    return len(sent)


def run(
    *,
    definitions: Path | None,
    code_list: Path | None,
    practices: Collection[str],
    from_log: bool,
    publish: bool,
    wait_s: float,
) -> int:
    settings = ComputeSettings()
    try:
        core = Core(load_definitions(definitions, code_list))
        with Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
            console=make_console(stderr=True), transient=True,
        ) as progress:  # fmt: skip
            task = progress.add_task("", total=None)
            result = rebuild(
                settings,
                core,
                practices=practices,
                from_log=from_log,
                patience_s=wait_s,
                told=lambda what, done, total: progress.update(
                    task, description=what, completed=done, total=total
                ),
            )
    except (OSError, CodeListError, DefinitionError, RebuildError, KafkaError) as error:
        print(f"peerview rebuild: {error or type(error).__name__}", file=sys.stderr)
        return REFUSED
    tell(result, core)
    if not publish:
        return EQUAL if result.equal else DIFFERENT
    print(f"{switch(settings, result):,} values published")
    if result.moving:
        print("not published: the practices that are elsewhere in the log")
    named = {"PEERVIEW_DEFINITIONS": definitions, "PEERVIEW_CODE_LIST": code_list}
    lines = [f"  {name}={path.resolve()}" for name, path in named.items() if path is not None]
    lines += [f"  {name} unset" for name, path in named.items() if path is None]
    print(
        "Set this for every compute worker (the code list for ingest and share too), and restart:"
    )
    print("\n".join(lines))
    return DIFFERENT if result.moving else EQUAL
