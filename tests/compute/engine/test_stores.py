"""A store keeps practices and partitions apart, and starts empty whatever it finds."""

from pathlib import Path

import pytest

from peerview_compute.engine.stores import (
    MemoryStore,
    RocksStore,
    StateStore,
    UnusableStore,
    check_setting,
    is_packed,
    state_store,
)


@pytest.fixture(params=["memory", "rocksdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> StateStore:
    if request.param == "memory":
        return MemoryStore()
    pytest.importorskip("rocksdict")
    return RocksStore(tmp_path / "states")


def test_practices_and_partitions_are_apart(store: StateStore) -> None:
    here, there = store.partition(1), store.partition(2)
    one, other, foreign = here.practice("A99001"), here.practice("A99002"), there.practice("A99001")
    keys = [bytes([n]) * 16 for n in (0, 7, 47, 255)]
    for key in keys:
        one[key] = b"1" + key
    other[keys[0]] = b"2"
    assert (len(one), len(other), len(foreign)) == (4, 1, 0)
    assert dict(one.items()) == {key: b"1" + key for key in keys}
    assert sorted(one) == keys
    assert dict(other.items()) == {keys[0]: b"2"}
    assert keys[1] in one
    assert keys[1] not in other
    assert other.get(keys[1]) is None
    with pytest.raises(KeyError):
        other[keys[1]]
    one[keys[0]] = b"3"
    del one[keys[1]]
    assert (one[keys[0]], len(one)) == (b"3", 3)
    here.close()
    there.close()


def test_a_partition_that_comes_again_is_empty(store: StateStore) -> None:
    first = store.partition(3)
    first.practice("A99001")[bytes(16)] = b"1"
    first.close()
    assert len(store.partition(3).practice("A99001")) == 0
    assert dict(store.partition(4).practice("A99001").items()) == {}


def test_states_not_written_lately_are_packed_and_read_as_they_were() -> None:
    partition = MemoryStore(fresh=3).partition(0)
    one, other = partition.practice("A99001"), partition.practice("A99002")
    states = {bytes([n]) * 16: b"\x96" + bytes([n]) * 900 for n in range(10)}
    for place, (key, state) in enumerate(states.items()):
        (one if place % 2 else other)[key] = state
    kept = [key for p in (one, other) for key, held in p.states.items() if not is_packed(held)]
    assert sorted(kept) == sorted(states)[-3:]
    assert sum(len(held) for p in (one, other) for held in p.states.values()) < 3 * 901 + 7 * 60
    assert {**dict(one.items()), **dict(other.items())} == states
    assert all((one.get(key) or other.get(key)) == state for key, state in states.items())
    first = min(other)
    other[first] = b"\x96new"
    assert (other[first], is_packed(other.states[first])) == (b"\x96new", False)
    del other[first]
    for key, state in states.items():
        one[key] = state
    assert {key: one[key] for key in states} == states


def test_what_a_dead_worker_left_is_deleted(tmp_path: Path) -> None:
    pytest.importorskip("rocksdict")
    (tmp_path / "partition-0").mkdir()
    (tmp_path / "partition-0" / "CURRENT").write_text("spoiled")
    store = state_store(f"rocksdb://{tmp_path}")
    assert len(store.partition(0).practice("A99001")) == 0


@pytest.mark.parametrize("setting", ["", "rocksdb://", "disk://x", "memory"])
def test_other_settings_are_refused(setting: str) -> None:
    with pytest.raises(UnusableStore):
        check_setting(setting)
