"""The invariant of a partition: its tallies are what the core says, after every history."""

import time
from collections.abc import Callable
from importlib import resources
from itertools import count
from pathlib import Path
from random import Random

import pytest

from peerview_common.changes import PatientChange, PracticeRekeying
from peerview_common.codes import CodeList, Row, shipped
from peerview_common.days import day_text
from peerview_common.snapshots import contributions, decode_body, origin_hash
from peerview_common.values import decode_value
from peerview_compute.engine.partition import Partition
from peerview_compute.engine.records import Marker, Notes, encode
from peerview_compute.engine.states import PartitionStates
from peerview_compute.engine.stores import MemoryStore, RocksStore, StateStore
from peerview_compute.model.core import Core
from peerview_compute.model.definitions import load_directory
from tests.compute.engine.feed import DAY, history, patient_key
from tests.compute.engine.world import CORE

KEY = bytes(16)
new_store: Callable[[], StateStore] = MemoryStore


@pytest.fixture(params=["memory", "rocksdb"], autouse=True)
def _each_store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every test runs over both stores."""
    if request.param == "rocksdb":
        pytest.importorskip("rocksdict")
        folders = (tmp_path / str(n) for n in count())
        monkeypatch.setitem(globals(), "new_store", lambda: RocksStore(next(folders)))


def filled(patients: int, *, day: int | None = DAY, seed: int = 1) -> Partition:
    partition = Partition(PartitionStates(0, CORE, new_store()), CORE)
    if day is not None:
        partition.tick(day, 0)
    random = Random(seed)
    practice = partition.practice("A99090")
    for n in range(patients):
        partition.apply(practice, PatientChange(patient_key(n), 0, False, history(random, 8)))
    partition.note(practice, Notes(data_through=5, position=patients))
    return partition


def expected(partition: Partition, day: int) -> object:
    tally = CORE.tally()
    for stored in partition.practice("A99090").states.patients.values():
        tally.add(CORE.refresh(stored, day).after)
    return tally


def settle(partition: Partition) -> None:
    while not partition.settled:
        partition.work(time.perf_counter() + 0.01)


def test_a_tally_is_true_after_changes_and_after_each_day() -> None:
    partition = filled(60)
    assert partition.practice("A99090").tally == expected(partition, DAY)
    for day in range(DAY + 1, DAY + 400, 37):
        partition.tick(day, day)
        settle(partition)
        assert partition.practice("A99090").tally == expected(partition, day)


def test_nothing_is_evaluated_before_the_first_tick_and_everything_at_it() -> None:
    partition = filled(20, day=None)
    assert partition.practice("A99090").tally.is_zero
    assert partition.values(partition.practice("A99090")) == []
    partition.tick(DAY, 3)
    settle(partition)
    assert partition.practice("A99090").tally == expected(partition, DAY)
    assert partition.tick(DAY, 4) is None
    assert partition.tick(DAY - 1, 4) is None


def days(partition: Partition) -> set[str]:
    return {
        decode_value(write.value).as_of for write in partition.values(partition.practice("A99090"))
    }


def test_a_practice_stays_at_its_day_until_its_tick_is_through() -> None:
    partition = filled(30)
    practice = partition.practice("A99090")
    before = partition.values(practice)
    assert days(partition) == {day_text(DAY)}
    partition.tick(DAY + 300, 9)
    assert partition.values(practice) == before
    writes, finished, _ = partition.work(until=0.0)
    assert (writes, finished) == ([], None)
    assert partition.values(practice) == before
    assert practice.tally == expected(partition, DAY)
    settle(partition)
    assert days(partition) == {day_text(DAY + 300)}
    assert practice.tally == expected(partition, DAY + 300)


@pytest.mark.parametrize("seed", range(12))
def test_what_comes_in_the_middle_of_ticks_is_counted_at_once_and_not_lost(seed: int) -> None:
    """Changes, foreign records and further ticks between the slices of a tick."""
    random = Random(seed)
    partition, other = filled(25, seed=seed), filled(25, seed=seed)
    practice = partition.practice("A99090")
    for offset in range(9, 40):
        if random.random() < 0.4:
            partition.tick(int(partition.as_of or 0) + random.randrange(1, 120), offset)
        who = patient_key(random.randrange(30))
        change = PatientChange(who, 0, False, history(random, 3, stamp=offset))
        if random.random() < 0.6:
            partition.apply(practice, change)
        else:
            write = other.apply(other.practice("A99090"), change)
            assert write is not None
            partition.absorb(*write)
        if random.random() < 0.15:
            partition.rekey(practice, who, patient_key(100 + offset), "")
        assert practice.day is not None
        assert practice.tally == expected(partition, practice.day)
        for _ in range(random.randrange(8)):
            partition.work(until=0.0)
    settle(partition)
    assert partition.as_of is not None
    assert practice.tally == expected(partition, partition.as_of)
    assert days(partition) == {day_text(partition.as_of)}


def test_between_two_days_recovery_finds_a_practice_silent_and_brings_it_on() -> None:
    partition = filled(30)
    partition.tick(DAY + 200, 9)
    read = PartitionStates(0, CORE, new_store())
    for key, value in partition.states.records():
        read.read(key, value)
    again = Partition(read, CORE)
    assert again.values(again.practice("A99090")) == []
    settle(again)
    settle(partition)
    assert again.values(again.practice("A99090")) == partition.values(partition.practice("A99090"))


def test_recovery_counts_the_caches_and_evaluates_nobody() -> None:
    partition = filled(40)
    partition.mark(Marker(done=DAY))
    read = PartitionStates(0, CORE, new_store())
    records = list(partition.states.records())
    Random(3).shuffle(records)
    for key, value in [*records, *records[:10]]:
        read.read(key, value)
    again = Partition(read, CORE)
    assert again.settled
    assert again.evaluations == 0
    assert again.practice("A99090").tally == partition.practice("A99090").tally
    assert again.values(again.practice("A99090")) == partition.values(partition.practice("A99090"))
    assert list(again.rejoined()) == []


def test_recovery_joins_a_late_record_and_writes_it_again() -> None:
    partition = filled(5)
    practice = partition.practice("A99090")
    old = dict(partition.states.records())
    more = PatientChange(patient_key(2), 0, False, history(Random(9), 12, stamp=5))
    write = partition.apply(practice, more)
    assert write is not None
    read = PartitionStates(0, CORE, new_store())
    for key, value in [*partition.states.records(), (write.key, old[write.key])]:
        read.read(key, value)
    again = Partition(read, CORE)
    assert [key for key, _ in again.rejoined()] == [write.key]
    settle(again)
    assert again.practice("A99090").tally == practice.tally


def test_absorbing_a_foreign_record_moves_the_tally_by_what_it_adds() -> None:
    partition, other = filled(10), filled(10)
    practice = other.practice("A99090")
    more = PatientChange(patient_key(4), 0, False, history(Random(9), 12, stamp=5))
    write = other.apply(practice, more)
    assert write is not None
    back, changed = partition.absorb(write.key, write.value)
    assert changed is partition.practice("A99090")
    assert partition.practice("A99090").tally == practice.tally
    assert back is not None
    assert partition.absorb(write.key, write.value) == (back, None)


def test_a_foreign_marker_of_a_later_day_begins_that_day() -> None:
    partition = filled(10)
    later = encode(Marker(as_of=DAY + 90, ticked=7))
    partition.absorb(b"!0", later)
    assert not partition.settled
    settle(partition)
    assert partition.practice("A99090").tally == expected(partition, DAY + 90)
    assert days(partition) == {day_text(DAY + 90)}


def test_a_snapshot_adds_up_to_the_tally_of_its_day() -> None:
    partition = filled(30)
    partition.tick(DAY + 90, 7)
    settle(partition)
    practice = partition.practice("A99090")
    for day in (DAY + 90, DAY + 60):
        body = decode_body(next(filter(None, partition.snapshot(practice, day, KEY))))
        tally = expected(partition, day)
        for n, indicator in enumerate(CORE.definitions.indicators):
            found = contributions(body, indicator).values()
            assert sum(d for d, _ in found) == tally[n].denominator  # type: ignore[index]
    assert origin_hash(KEY, patient_key(3)) in contributions(body, "broad-abx")


def test_a_rekeyed_patient_counts_once_under_the_origin_of_old() -> None:
    partition = filled(6)
    practice = partition.practice("A99090")
    before = list(partition.values(practice))
    writes = partition.rekey(practice, patient_key(1), patient_key(11), "old")
    assert len(writes) == 2
    assert partition.values(practice) == before
    assert partition.rekey(practice, patient_key(77), patient_key(78), "") == []


def test_a_practice_that_is_re_keyed_is_held_through_a_restart() -> None:
    partition = filled(6)
    practice = partition.practice("A99090")
    begun, ended = (PracticeRekeying("r", "A99090", 2, over, 0) for over in (False, True))
    before = list(partition.values(practice))
    partition.note(practice, Notes().after_rekeying(begun))
    assert {decode_value(write.value).state for write in partition.values(practice)} == {"rekeying"}
    body = decode_body(next(filter(None, partition.snapshot(practice, DAY, KEY))))
    assert set(body.states.values()) == {"rekeying"}
    read = PartitionStates(0, CORE, new_store())
    for key, value in partition.states.records():
        read.read(key, value)
    again = Partition(read, CORE)
    settle(again)
    practice = again.practice("A99090")
    assert {decode_value(write.value).state for write in again.values(practice)} == {"rekeying"}
    again.note(practice, Notes().after_rekeying(ended))
    assert list(again.values(practice)) == before


def listed(*more: Row) -> Core:
    """The shipped definitions with a longer code list."""
    with resources.as_file(resources.files("peerview_compute") / "indicators") as directory:
        return Core(load_directory(directory, CodeList([*shipped().rows, *more])))


def under(core: Core, *notes: Notes) -> Partition:
    partition = Partition(PartitionStates(0, core, new_store()), core)
    partition.tick(DAY, 0)
    for note in notes:
        partition.note(partition.practice("A90001"), note)
    return partition


def carried_over(partition: Partition, core: Core, *notes: Notes) -> Partition:
    """What a worker with another code list finds after it, and then learns."""
    read = PartitionStates(0, core, new_store())
    for key, value in partition.states.records():
        read.read(key, value)
    again = Partition(read, core)
    for note in notes:
        again.note(again.practice("A90001"), note)
    return again


def states(partition: Partition) -> set[str]:
    """The indicators that wait, said alike by values and snapshots."""
    settle(partition)
    practice = partition.practice("A90001")
    values = [decode_value(write.value) for write in partition.values(practice)]
    assert len(values) == 12
    waiting = {value.indicator for value in values if value.state == "awaiting-backfill"}
    body = decode_body(next(filter(None, partition.snapshot(practice, DAY, KEY))))
    assert body.states == dict.fromkeys(waiting, "awaiting-backfill")
    return waiting


SNOMED = "http://snomed.info/sct"
NEW = Row("NOCX_COD", SNOMED, "999999991000000101", "test")
OLD_VERSION = shipped().version


def test_a_new_list_has_only_those_wait_whose_codes_the_data_was_not_kept_under() -> None:
    old, new = CORE, listed(NEW)
    first = under(old, Notes(first={OLD_VERSION: 1}))
    assert states(first) == set()
    second = carried_over(first, new)
    assert states(second) == {"cervical"}
    version = new.definitions.codes_version
    second.note(second.practice("A90001"), Notes(first={version: 2}))
    assert states(second) == {"cervical"}
    second.note(second.practice("A90001"), Notes(codes={version: 3}))
    assert states(second) == set()
    # what is complete under the new list knows its hashes when the next one comes
    third = carried_over(second, listed(NEW, Row("HYP_COD", SNOMED, "999999991000000101", "t")))
    assert states(third) == {"bp-htn-u80"}


def test_a_practice_that_began_under_the_current_list_waits_for_nothing() -> None:
    new = listed(NEW)
    assert states(under(new, Notes(first={new.definitions.codes_version: 1}))) == set()
    assert states(under(new)) == set()


def test_ingest_may_be_upgraded_before_compute() -> None:
    new = listed(NEW)
    version = new.definitions.codes_version
    known = under(CORE, Notes(first={OLD_VERSION: 1}), Notes(first={version: 2}))
    assert states(known) == set()
    assert states(carried_over(known, new)) == {"cervical"}
    done = carried_over(under(CORE, Notes(first={OLD_VERSION: 1}), Notes(codes={version: 3})), new)
    assert states(done) == set()
    begun = under(CORE, Notes(first={version: 2}))
    nothing_coded = {"appt-14d", "dna", "upc"}
    assert states(begun) == set(CORE.definitions.indicators) - nothing_coded
    assert states(carried_over(begun, new)) == set()


def test_a_definition_that_begins_to_use_a_listed_cluster_waits_for_nothing() -> None:
    """All listed clusters are kept, whoever uses them."""
    known = under(CORE, Notes(first={OLD_VERSION: 1}))
    assert set(CORE.definitions.all_code_hashes) == set(known.practice("A90001").states.notes.kept)


def test_notes_join_the_same_whatever_order_workers_wrote_them() -> None:
    new = listed(NEW)
    a = under(CORE, Notes(first={OLD_VERSION: 1})).practice("A90001").states.notes
    b = under(new, Notes(codes={new.definitions.codes_version: 3}, first={OLD_VERSION: 4}))
    other = b.practice("A90001").states.notes
    assert encode(a.join(other)) == encode(other.join(a))
    assert a.join(other).first == {OLD_VERSION: 1}
