"""No offset may be committed before everything that the records before it led to is acknowledged;
and what says that something is done comes after it.

The first two were shown to find, with every seed or most, and with the lanes concerned: a
`Processor.settle` that does not look at the lanes, a `safe_offset` that is moved when a record is
put in or worked off, a `Lane` that counts a batch as acknowledged when it is sent or counts more
than was in it, a lane left out of a record's tickets, and a cut without its marker. The others:
a cut that does not await its snapshots or its marker, and a re-keying that does not wait.
"""

from collections.abc import Iterable
from random import Random
from typing import Any

import pytest

from peerview_common.changes import ClockTicked, PatientRekeyed, ReleaseCut
from peerview_common.snapshots import decode_chunk
from peerview_compute.engine.records import decode_marker, marker_key, patient_key
from peerview_compute.model import state as states
from tests.chaos.events import Story
from tests.chaos.promise import Promise
from tests.compute.engine import feed
from tests.compute.engine.bench import LANES, Bench, Message, Record
from tests.compute.engine.feed import DAY, change_set, history
from tests.compute.engine.world import CORE, SNAPSHOT_KEY

PRACTICE = "A99001"


def records_of(seed: int, size: int = 80) -> list[tuple[Any, Record]]:
    """Events of every kind for one partition, now and then a record that nobody can read."""
    random = Random(f"unreadable {seed}")
    story = Story(Random(seed), 1, size=8)
    events: list[Any] = [sent.event for sent in [*story.tick(0), *story.burst(size), *story.cut()]]
    for _ in range(3):
        events.insert(random.randrange(len(events)), None)
    return [(event, Record(Message.of(n, event))) for n, event in enumerate(events)]


def take(promise: Promise, name: str, batch: Iterable[tuple[bytes, bytes]]) -> None:
    """A batch is in the log."""
    for key, value in batch:
        if name == "states":
            promise.state(key, value)
        elif name == "snapshots":
            promise.snapshot(decode_chunk(value))


@pytest.mark.parametrize("seed", range(12))
async def test_nothing_before_the_safe_offset_is_missing_in_the_log(seed: int) -> None:
    random = Random(f"order {seed}")
    promise = Promise(CORE, SNAPSHOT_KEY, 1)
    bench = Bench()
    records = records_of(seed)
    following = iter(records)
    letters = 0
    # some runs put much in before anything is acknowledged, some wait for nearly every batch
    eager = random.choice((0.2, 0.5, 0.9))
    left = True
    while left or any(producer.waits for producer in bench.producers.values()):
        waiting = [name for name in LANES if bench.producers[name].waits]
        if left and (not waiting or random.random() < eager):
            found = next(following, None)
            if found is not None:
                event, record = found
                if event is not None:
                    promise.sent(0, record.message.offset, event)
                bench.processor.put(record)
            elif not waiting and not bench.tick():
                left = bench.processor.safe_offset < len(records)
        elif waiting:
            name = random.choice(waiting)
            batch = bench.producers[name].sent[-1]
            take(promise, name, batch)
            letters += len(batch) if name == "dead_letters" else 0
            await bench.producers[name].acknowledge()
        if random.random() < 0.3:
            bench.tick()
        await bench.settle()
        safe = bench.processor.safe_offset
        assert not promise.broken(0, safe)
        assert letters >= sum(event is None for event, _ in records[:safe])
        assert [record.acked for _, record in records] == [n < safe for n in range(len(records))]
    await bench.close()
    assert bench.processor.safe_offset == len(records)


@pytest.mark.parametrize("withheld", LANES)
async def test_no_lane_may_be_left_out(withheld: str) -> None:
    bench = Bench()
    needs = None
    for _, record in records_of(5):
        bench.processor.put(record)
        await bench.go_on(without=withheld)
        if bench.producers[withheld].sent and needs is None:
            needs = record.message.offset
    await bench.close()
    assert needs is not None
    assert bench.processor.safe_offset == needs


async def test_a_cut_says_that_it_is_done_when_it_is_and_holds_the_next_record_till_then() -> None:
    bench = Bench()
    patients = [(n, history(Random(n), 8)) for n in range(6)]
    events = [
        ClockTicked("tick", DAY, 0),
        change_set(PRACTICE, patients),
        ReleaseCut("cut", 1, DAY, 0),
        change_set(PRACTICE, [(9, history(Random(9), 8))]),
    ]
    states_sent = bench.producers["states"].sent
    for offset, event in enumerate(events):
        bench.processor.put(Record(Message.of(offset, event)))
        await bench.go_on(without="snapshots")

    def markers() -> list[int]:
        batches = [record for batch in states_sent for record in batch]
        return [decode_marker(value).cut for key, value in batches if key == marker_key(0)]

    assert len(bench.producers["snapshots"].sent) == 1
    assert bench.processor.done_offset == 1
    assert set(markers()) == {0}
    await bench.producers["snapshots"].acknowledge()
    await bench.settle()
    assert markers()[-1] == 1
    assert bench.processor.done_offset == 1, "the marker is not in the log yet"
    await bench.go_on(without="")
    await bench.close()
    assert bench.processor.safe_offset == 4


async def test_a_re_keyed_patients_facts_are_at_every_moment_in_the_log() -> None:
    bench = Bench(room=1)
    old, new = feed.patient_key(1), feed.patient_key(2)
    facts = history(Random(1), 8)
    events = [
        ClockTicked("tick", DAY, 0),
        change_set(PRACTICE, [(1, facts)]),
        change_set(PRACTICE, [(n, history(Random(n), 8)) for n in range(5, 9)]),
        # waits in the lane when the patient is re-keyed
        change_set(PRACTICE, [(1, history(Random(4), 12, stamp=4))]),
        PatientRekeyed("rekey", PRACTICE, old, new, "", 0),
    ]
    for offset, event in enumerate(events[:2]):
        bench.processor.put(Record(Message.of(offset, event)))
        await bench.go_on(without="")
    for offset, event in enumerate(events[2:], 2):
        bench.processor.put(Record(Message.of(offset, event)))
    log: dict[bytes, bytes] = {}
    for batch in bench.producers["states"].sent:
        log.update(batch)
    while bench.processor.safe_offset < len(events):
        await bench.settle()
        for name, producer in bench.producers.items():
            if producer.waits:
                log.update(producer.sent[-1] if name == "states" else ())
                await producer.acknowledge()
        held = [log[key] for who in (old, new) if (key := patient_key(PRACTICE, who)) in log]
        keys = {fact.key for stored in held for fact in states.decode(stored).facts}
        assert keys >= {fact.key for fact in facts}
    await bench.close()
    assert len(states.decode(log[patient_key(PRACTICE, new)]).facts) > len(facts)
    assert not states.decode(log[patient_key(PRACTICE, old)]).facts
