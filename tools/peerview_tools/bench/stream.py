"""One stream of changes, worked off by different engines: how fast each is, and that all agree.

The topic is filled before an engine starts. It holds a tick, then every patient's 40 facts, and
then what is measured: rounds in which every patient brings newer versions of 10 of them. The clock
runs from the first value that counts a measured record to the last value or state of the last one,
by the broker's own stamps, so that neither starting nor the first load is in it.
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from peerview_common import changes, topics
from peerview_common.changes import ChangeSet
from peerview_common.cloudevents import EventType
from peerview_tools.bench import load
from peerview_tools.bench.processes import Process, wait_until
from peerview_tools.bench.surroundings import Surroundings, Topics, chunks

PRACTICE: int = 250
"""Patients of a practice."""
_TEMPLATES = 100


@dataclass(frozen=True)
class Stream:
    patients: int
    rounds: int
    per_record: int
    """Patients of a change set."""

    @property
    def facts(self) -> int:
        """Measured ones."""
        return self.patients * self.rounds * load.BROUGHT

    def first_load(self) -> Iterator[tuple[str, bytes]]:
        """``(practice, change set)``, everybody's 40 facts."""
        made = [load._encode(template.facts) for template in load.templates(_TEMPLATES)]
        yield from self._records(made, 0)

    def measured(self) -> Iterator[tuple[str, bytes]]:
        for number in range(self.rounds):
            made = [template.change(number) for template in load.templates(_TEMPLATES)]
            yield from self._records(made, number + 1)

    def _records(self, made: list[bytes], seed: int) -> Iterator[tuple[str, bytes]]:
        groups = [
            (load.practice_code(first // PRACTICE), group)
            for first in range(0, self.patients, PRACTICE)
            for group in chunks(range(first, min(first + PRACTICE, self.patients)), self.per_record)
        ]
        random.Random(seed).shuffle(groups)  # noqa: S311
        for practice, group in groups:
            parts = [(load.patient_key(n), made[n % _TEMPLATES]) for n in group]
            yield practice, load.change_set(practice, parts)


class Rate(NamedTuple):
    """Facts a second: of the clock, and of the engine's own processor time."""

    wall: float
    cpu: float


def middle(rates: list[Rate]) -> Rate:
    return Rate(median(rate.wall for rate in rates), median(rate.cpu for rate in rates))


Counts = dict[tuple[str, str], tuple[int, ...]]


class CoreRun:
    """The pure core over the stream, one thread, nothing else: decoded parts and states as bytes
    in, states and tallies out."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.states: dict[tuple[str, bytes], bytes] = {}
        self.tallies: dict[str, Any] = {}
        self._decoded = [_decoded(record) for record in stream.measured()]
        self._loaded = [_decoded(record) for record in stream.first_load()]

    def run(self) -> Rate:
        self.states.clear()
        self.tallies.clear()
        self._take(self._loaded)
        wall, used = time.perf_counter(), time.thread_time()
        self._take(self._decoded)
        wall, used = time.perf_counter() - wall, time.thread_time() - used
        return Rate(self._stream.facts / wall, self._stream.facts / used)

    def counts(self) -> Counts:
        return {
            (practice, indicator): (
                c.denominator, c.numerator, c.met, c.miss, c.exception, c.excluded,
            )
            for practice, tally in self.tallies.items()
            for indicator, c in zip(
                load.core().definitions.indicators, tally.counts, strict=True
            )
        }  # fmt: skip

    def _take(self, found: list[ChangeSet]) -> None:
        core, states = load.core(), self.states
        for change in found:
            practice = change.practice
            tally = self.tallies.get(practice)
            if tally is None:
                tally = self.tallies[practice] = core.tally()
            for part in change.patients:
                key = (practice, part.patient)
                applied = core.apply(states.get(key), part, load.DAY)
                states[key] = applied.stored
                tally.replace(applied.before, applied.after)


def _decoded(record: tuple[str, bytes]) -> ChangeSet:
    found = changes.decode(EventType.CHANGES, record[1])
    assert isinstance(found, ChangeSet)  # noqa: S101
    return found


class EngineRun(NamedTuple):
    rate: Rate
    counts: Counts
    states: list[bytes]
    """The newest of every key of its changelog, sorted; without what is no patient's."""


class Filled(NamedTuple):
    first: int
    """The offset of the first measured record."""
    facts: list[int]
    """Of each record; 0 of those that are not measured."""


def fill(place: Topics, stream: Stream) -> Filled:
    """Write the stream into partition 0."""
    facts = [0]
    with place.feed() as feed:
        feed.tick(load.DAY)
        feed.flush()
        for practice, value in stream.first_load():
            feed.send(0, practice.encode(), value)
            facts.append(0)
        first = len(facts)
        for record in stream.measured():
            feed.send(0, record[0].encode(), record[1])
            facts.append(sum(len(part.facts) for part in _decoded(record).patients))
    return Filled(first, facts)


Start = Callable[[Topics, int], Process]
"""With the offset of the last record."""


def run(place: Topics, filled: Filled, start: Start, changelog: str | None = None) -> EngineRun:
    """Let an engine work off a filled topic of one partition."""
    last = len(filled.facts) - 1
    with start(place, last) as process, place.last_value() as newest:

        def through() -> bool:
            process.check()
            seen = newest(0)
            return seen is not None and seen.offset >= last

        wait_until(through, "the last record's values", 600, 0.1)
        process.end()
        return _judged(place, process, filled, changelog)


def _judged(place: Topics, process: Process, filled: Filled, changelog: str | None) -> EngineRun:
    found = list(place.values())
    measured = [seen for seen in found if seen.offset >= filled.first]
    begin = min(measured, key=lambda seen: (seen.at, seen.offset))
    end = min(seen.at for seen in measured if seen.offset == len(filled.facts) - 1)
    newest: dict[bytes, bytes] = {}
    for record in place.records(changelog or place.name(topics.STATE)):
        newest[record.key] = record.value
        end = max(end, record.timestamp / 1000)
    # a stream of a few records may be one batch: then all that can be said is "within this"
    facts = sum(filled.facts[begin.offset + 1 :]) or sum(filled.facts)
    used = process.cpu_between(begin.at, end)
    counts = {(seen.practice, seen.indicator): seen.counts for seen in found}
    states = sorted(value for key, value in newest.items() if b"!" not in key and value)
    return EngineRun(
        Rate(facts / max(end - begin.at, 0.001), facts / max(used, 0.01)), counts, states
    )


class Side(NamedTuple):
    """One engine: how it is called, how it starts, and where its states go."""

    name: str
    start: Start
    changelog: Callable[[Topics], str] | None = None


def compare(
    around: Surroundings, stream: Stream, sides: list[Side], times: int
) -> tuple[Rate, list[Rate]]:
    """The core's rate and each side's, in turn, as often as asked; medians. Raises
    ``DisagreementError`` where an engine did not end in what the core ends in."""
    core = CoreRun(stream)
    cores: list[Rate] = []
    rates: list[list[Rate]] = [[] for _ in sides]
    for number in range(times):
        for side, found in zip(sides, rates, strict=True):
            cores.append(core.run())
            place = around.topics(1)
            filled = fill(place, stream)
            changelog = None if side.changelog is None else side.changelog(place)
            engine = run(place, filled, side.start, changelog)
            found.append(engine.rate)
            around.say(
                f"{number + 1} of {times}, {stream.per_record} patients a record: {side.name} "
                f"{engine.rate.wall:,.0f} facts/s, core {cores[-1].wall:,.0f}"
            )
            if engine.counts != core.counts():
                raise DisagreementError(f"{side.name}: other counts than the core's")
            if engine.states != sorted(core.states.values()):
                raise DisagreementError(f"{side.name}: other states than the core's")
            place.delete()
    return middle(cores), [middle(found) for found in rates]


class DisagreementError(RuntimeError):
    """Two engines did not end in the same figures: no ratio of them means anything."""
