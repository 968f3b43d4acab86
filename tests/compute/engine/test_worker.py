"""The whole worker on a real broker: whatever happens, it ends in what the core says."""

import json
import signal
from collections.abc import Callable
from random import Random

import msgspec
import pytest

from peerview_common import changes, topics
from peerview_common.changes import (
    BackfillCompleted,
    ChangeSet,
    ClockTicked,
    PatientChange,
    PatientRekeyed,
    ReleaseCut,
)
from peerview_common.cloudevents import EventType, header
from peerview_common.days import day_text
from peerview_common.facts import Fact
from peerview_common.snapshots import contributions, decode_body, join_chunks, origin_hash
from peerview_compute.engine.records import decode_marker, decode_notes
from tests.compute.engine.feed import (
    DAY,
    DAY_MILLIS,
    Feed,
    blood_pressure,
    change_set,
    history,
    patient_key,
)
from tests.compute.engine.world import (
    CORE,
    SNAPSHOT_KEY,
    Log,
    Reference,
    Worker,
    counts_of,
    until_counts,
    wait_until,
)

pytestmark = pytest.mark.broker

PRACTICES = ("A99091", "A99092", "A99093", "A99094")
TICK = ClockTicked("tick-1", DAY, 0)
TODAY = day_text(DAY)
Start = Callable[..., Worker]


def sets(
    reference: Reference, count: int, patients: int, seed: int = 1, facts: int = 10
) -> list[ChangeSet]:
    """Change sets of all practices; the same patients come again and again with more."""
    random = Random(seed)
    found = []
    for n in range(count):
        chosen = [random.randrange(patients * 3) for _ in range(patients)]
        parts = [(who, history(random, facts, stamp=n)) for who in dict.fromkeys(chosen)]
        found.append(reference.take(change_set(PRACTICES[n % 4], parts, data_through=n)))
    return found


def huge(part: int) -> list[Fact]:
    """Facts of which one part fits into a record, and no two."""
    return [blood_pressure(DAY, 120, f"{part}-{n}-".ljust(1000, "x")) for n in range(600)]


def test_counts_are_those_of_the_core_over_all_patients(feed: Feed, log: Log, start: Start) -> None:
    reference = Reference()
    worker = start()
    feed.send_everywhere(TICK)
    for change in sets(reference, 40, 20):
        feed.send(change)
    feed.flush()
    until_counts(log, reference.counts(DAY), TODAY)
    worker.until_ready()
    value = log.values()["A99091", "bp-htn-u80"]
    assert value.data_through == "1970-01-01T00:00:00.036Z"
    assert value.source.partition == feed.partition_of("A99091")
    assert value.definitions == CORE.definitions.hash_text
    records = log.records(topics.STATE)
    state = next(record for record in records if record.key.startswith(b"A99091/"))
    assert header(state.headers, "ce_type") == EventType.STATE
    assert {header(state.headers, name) for name in ("ce_id", "traceparent")} & {None} == set()
    assert all(record.partition == feed.partition_of("A99091") for record in [state])
    wait_until(
        lambda: worker.metric("peerview_compute_records_total") == 42, "all records in the metrics"
    )
    assert worker.stop() == 0


def test_duplicated_and_reordered_records_change_nothing(
    feed: Feed, log: Log, start: Start
) -> None:
    reference = Reference()
    found = sets(reference, 24, 10)
    found += found[::3]
    Random(2).shuffle(found)
    feed.send_everywhere(TICK)
    for change in found:
        feed.send(change)
    feed.flush()
    start()
    until_counts(log, reference.counts(DAY), TODAY)


def newest(log: Log) -> dict[bytes, bytes]:
    """The newest value of each key, as bytes."""
    return {record.key: record.value for record in log.records(topics.VALUES)}


def test_a_killed_worker_counts_nothing_twice(feed: Feed, log: Log, start: Start) -> None:
    reference = Reference()
    feed.send_everywhere(TICK)
    for change in sets(reference, 120, 30):
        feed.send(change)
    feed.flush()
    for share in (30, 75):
        worker = start()
        wait_until(
            lambda w=worker, s=share: w.metric("peerview_compute_records_total") >= s,
            "work in the middle",
        )
        worker.kill()
    last = start()
    until_counts(log, reference.counts(DAY), TODAY)
    assert last.stop() == 0
    # in order this time: nothing is left to do again, and the same values are published again
    before = newest(log)
    published = len(log.records(topics.VALUES))
    again = start().until_ready()
    wait_until(
        lambda: len(log.records(topics.VALUES)) >= published + len(before),
        "every value, published by whoever has the partition now",
    )
    assert again.metric("peerview_compute_records_total") == 0
    assert newest(log) == before


def test_a_tick_changes_counts_without_data(feed: Feed, log: Log, start: Start) -> None:
    reference = Reference()
    start()
    feed.send_everywhere(TICK)
    for change in sets(reference, 16, 20):
        feed.send(change)
    feed.flush()
    until_counts(log, reference.counts(DAY), TODAY)
    for later in (DAY + 40, DAY + 200, DAY + 100):
        feed.send_everywhere(ClockTicked(f"tick-{later}", later, 0))
    feed.flush()
    expected = reference.counts(DAY + 200)
    assert expected != reference.counts(DAY)
    until_counts(log, expected, day_text(DAY + 200))

    def finished() -> bool:
        markers = {
            record.key: decode_marker(record.value)
            for record in log.records(topics.STATE)
            if record.key.startswith(b"!")
        }
        return [marker.done for marker in markers.values()] == [DAY + 200] * 2

    wait_until(finished, "both markers say that the tick is finished")


def test_an_unfinished_tick_is_finished_by_whoever_recovers(
    feed: Feed, log: Log, start: Start
) -> None:
    reference = Reference()
    feed.send_everywhere(TICK)
    for change in sets(reference, 16, 60):
        feed.send(change)
    feed.flush()
    first = start()
    until_counts(log, reference.counts(DAY), TODAY)
    feed.send_everywhere(ClockTicked("tick-2", DAY + 150, 0))
    feed.flush()
    wait_until(lambda: first.metric("peerview_compute_as_of_day") == 2 * (DAY + 150), "the tick")
    first.kill()
    start()
    until_counts(log, reference.counts(DAY + 150), day_text(DAY + 150))


def test_a_cut_sends_one_complete_snapshot_that_adds_up_to_the_tally(
    feed: Feed, log: Log, start: Start
) -> None:
    reference = Reference()
    worker = start()
    feed.send_everywhere(TICK)
    for change in sets(reference, 24, 20):
        feed.send(change)
    cut = ReleaseCut("cut-1", 1, DAY, 0)
    for event in (cut, cut, ReleaseCut("cut-2", 2, DAY + 1, 0)):
        feed.send_everywhere(event)
    feed.flush()
    wait_until(lambda: len(worker.said("cut done")) == 2, "both partitions cut")
    wait_until(lambda: len(worker.said("cut skipped")) == 2, "the same cut again is skipped")
    wait_until(lambda: len(worker.said("cut refused")) == 2, "a cut ahead of the tick is refused")
    by_practice = {}
    for chunk in log.chunks():
        by_practice.setdefault(chunk.practice, []).append(chunk)
    assert sorted(by_practice) == sorted(PRACTICES)
    expected = reference.counts(DAY)
    for code, chunks in by_practice.items():
        assert len({chunk.attempt for chunk in chunks}) == 1
        body = decode_body(join_chunks(chunks) or b"")
        assert 0 < body.gps <= 4
        for indicator in CORE.definitions.indicators:
            found = contributions(body, indicator)
            sums = (sum(d for d, _ in found.values()), sum(n for _, n in found.values()))
            assert sums == expected[code, indicator][:2]
        known = {origin_hash(SNAPSHOT_KEY, key) for key in reference.states[code]}
        assert contributions(body, "broad-abx").keys() == known
    # a fresh start does not cut again
    worker.kill()
    start().until_ready()
    assert len(log.chunks()) == sum(len(chunks) for chunks in by_practice.values())


def test_a_poison_patient_becomes_a_dead_letter_and_the_others_count(
    feed: Feed, log: Log, start: Start
) -> None:
    reference = Reference()
    worker = start()
    feed.send_everywhere(TICK)
    good = reference.take(change_set("A99091", [(n, history(Random(n), 8)) for n in range(6)]))
    # a state that fits into no record cannot be kept, however often it is tried
    parts = [PatientChange(patient_key(99), 0, False, huge(n)) for n in range(3)]
    feed.send(msgspec.structs.replace(good, patients=[*good.patients[:3]]))
    feed.send_bytes(feed.partition_of("A99091"), b"not a change set", EventType.CHANGES)
    feed.send_bytes(feed.partition_of("A99091"), b"\x80", "peerview.unheard.of")
    for part in parts:
        feed.send(msgspec.structs.replace(good, patients=[part]))
    feed.send(msgspec.structs.replace(good, patients=[*good.patients[3:]]))
    feed.flush()

    def letters() -> list[object]:
        found = log.records(topics.DEAD_LETTERS)
        return found if len(found) >= 4 else []

    found = wait_until(letters, "dead letters")
    stages = sorted(str(header(record.headers, "stage")) for record in found)
    assert stages == ["apply", "apply", "decode", "decode"]
    applied = next(r for r in found if header(r.headers, "stage") == "apply")
    part = changes.decode(header(applied.headers, "ce_type"), applied.value)
    assert isinstance(part, ChangeSet)
    assert [patient.patient for patient in part.patients] == [patient_key(99)]
    assert "StateTooLarge" in str(header(applied.headers, "reason"))
    assert header(applied.headers, "source-partition") == str(feed.partition_of("A99091"))
    reference.take(msgspec.structs.replace(good, patients=parts[:1]))
    until_counts(log, reference.counts(DAY), TODAY)
    assert worker.metric("peerview_compute_dead_letters_total") == 4


def test_too_many_failures_in_a_row_stop_the_worker(feed: Feed, log: Log, start: Start) -> None:
    worker = start(PEERVIEW_MAX_FAILURES="3")
    feed.send_everywhere(TICK)
    for n in range(5):
        feed.send(change_set("A99091", [(n, huge(0))]))
        feed.send(change_set("A99091", [(n, huge(1))]))
    for n in range(4):
        feed.send(change_set("A99091", [(n, huge(2))]))
    feed.flush()
    assert worker.process.wait(60) == 1
    assert "TooManyFailures" in worker.said("worker stops")[0]["error"]


def test_a_patient_moves_to_a_new_key_and_a_backfill_is_remembered(
    feed: Feed, log: Log, start: Start
) -> None:
    reference = Reference()
    start()
    feed.send_everywhere(TICK)
    feed.send(reference.take(change_set("A99091", [(n, history(Random(n), 8)) for n in range(6)])))
    partition = feed.partition_of("A99091")
    feed.send(
        PatientRekeyed("r", "A99091", patient_key(3), patient_key(33), "old system", 0), partition
    )
    feed.send(BackfillCompleted("b", "A99091", "codes-2", 77), partition)
    feed.send_everywhere(ReleaseCut("cut-1", 1, DAY, 0))
    feed.flush()
    chunks = wait_until(log.chunks, "a snapshot")
    until_counts(log, reference.counts(DAY), TODAY)
    body = decode_body(join_chunks(chunks) or b"")
    known = {origin_hash(SNAPSHOT_KEY, patient_key(n)) for n in range(6)}
    assert contributions(body, "broad-abx").keys() == known
    notes = [r.value for r in log.records(topics.STATE) if r.key == b"A99091!"]
    assert decode_notes(notes[-1]).codes == {"codes-2": 77}


def test_a_heartbeat_moves_data_through_and_survives_a_restart(
    feed: Feed, log: Log, start: Start
) -> None:
    reference = Reference()
    worker = start()
    feed.send_everywhere(TICK)
    feed.send(reference.take(change_set("A99091", [(1, history(Random(1), 8))], data_through=5)))
    feed.send(change_set("A99091", [], data_through=DAY_MILLIS))
    feed.flush()

    def through() -> str:
        found = log.values().get(("A99091", "upc"))
        return "" if found is None else found.data_through

    wait_until(lambda: through() == "1970-01-02T00:00:00.000Z", "the heartbeat")
    worker.kill()
    start()
    feed.send(change_set("A99091", [(1, [])], data_through=7))
    feed.flush()
    length = len(log.records(topics.VALUES))
    wait_until(lambda: len(log.records(topics.VALUES)) > length, "one more value")
    assert through() == "1970-01-02T00:00:00.000Z"


def test_two_workers_share_partitions_and_one_takes_over(
    feed: Feed, log: Log, start: Start
) -> None:
    reference = Reference()
    found = sets(reference, 90, 10)
    feed.send_everywhere(TICK)
    first = start().until_ready()
    for change in found[:30]:
        feed.send(change)
    second = start().until_ready()
    for change in found[30:60]:
        feed.send(change)
    feed.flush()

    def shared() -> bool:
        return all(
            len(worker.said("recovered")[-1]["partitions"]) == 1 for worker in (first, second)
        )

    wait_until(shared, "one partition each")
    for change in found[60:]:
        feed.send(change)
    feed.flush()
    assert second.stop() == 0
    until_counts(log, reference.counts(DAY), TODAY)
    wait_until(lambda: len(first.said("recovered")[-1]["partitions"]) == 2, "both partitions")


def test_a_frozen_worker_that_wakes_up_spoils_nothing(feed: Feed, log: Log, start: Start) -> None:
    reference = Reference()
    found = sets(reference, 120, 20)
    feed.send_everywhere(TICK)
    for change in found[:60]:
        feed.send(change)
    feed.flush()
    frozen = start()
    wait_until(lambda: frozen.metric("peerview_compute_records_total") >= 20, "work")
    frozen.signal(signal.SIGSTOP)
    second = start()
    wait_until(
        lambda: second.said("recovered") and len(second.said("recovered")[-1]["partitions"]) == 2,
        "the second takes over once the session of the first has ended",
    )
    for change in found[60:]:
        feed.send(change)
    feed.flush()
    until_counts(log, reference.counts(DAY), TODAY)
    frozen.signal(signal.SIGCONT)
    wait_until(
        lambda: frozen.process.poll() is not None or len(frozen.said("recovered")) >= 2,
        "the frozen one ends, or joins again",
    )
    feed.send(change_set("A99091", [(0, [])]))
    feed.send(change_set("A99092", [(0, [])]))
    feed.flush()
    until_counts(log, reference.counts(DAY), TODAY)
    # and the log, read from its beginning, holds it all
    for worker in (frozen, second):
        worker.kill()
    feed.send_everywhere(ClockTicked("tick-2", DAY + 1, 0))
    feed.flush()
    start()
    until_counts(log, reference.counts(DAY + 1), day_text(DAY + 1))


def test_health_tells_whether_it_serves(feed: Feed, start: Start) -> None:
    worker = start()
    status, body = worker.get("/health/live")
    assert (status, json.loads(body)["service"]) == (200, "compute")
    worker.until_ready()
    assert "peerview_compute_records_total" in worker.get("/metrics")[1]


def test_a_worker_that_is_asked_tells_where_its_tasks_are(feed: Feed, start: Start) -> None:
    worker = start().until_ready()
    worker.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: worker.said("tasks told"), "its tasks")
    places = [" > ".join(task["at"]) for task in worker.said("task")]
    assert any("Worker._watch_stalls (worker.py:" in place for place in places)
    assert worker.get("/health/ready")[0] == 200


def test_values_are_byte_identical_when_all_that_is_derived_is_made_again(
    feed: Feed, log: Log, start: Start, bootstrap: str, topic_prefix: str
) -> None:
    reference = Reference()
    worker = start()
    feed.send_everywhere(TICK)
    for change in sets(reference, 20, 10):
        feed.send(change)
    feed.send_everywhere(ClockTicked("tick-2", DAY + 30, 0))
    feed.flush()
    until_counts(log, reference.counts(DAY + 30), day_text(DAY + 30))
    assert worker.stop() == 0
    values = {record.key: record.value for record in log.records(topics.VALUES)}
    other = Feed(bootstrap, f"{topic_prefix}again.", feed.partitions)
    for record in log.records(topics.CHANGES):
        other.copy(record)
    other.flush()
    other.close()
    start(PEERVIEW_TOPIC_PREFIX=f"{topic_prefix}again.")
    again = Log(bootstrap, f"{topic_prefix}again.")
    until_counts(again, counts_of(log.values()), day_text(DAY + 30))
    assert {record.key: record.value for record in again.records(topics.VALUES)} == values
