"""Workers that keep their states in RocksDB: killed, started again, and sharing partitions."""

from collections.abc import Callable
from pathlib import Path

import pytest

from peerview_common.changes import ClockTicked
from peerview_common.days import day_text
from tests.compute.engine.feed import DAY, Feed
from tests.compute.engine.test_worker import PRACTICES, sets
from tests.compute.engine.world import Log, Reference, Worker, until_counts, wait_until

pytest.importorskip("rocksdict")
pytestmark = pytest.mark.broker


def partitions_of(worker: Worker) -> list[int]:
    """Those of the last recovery."""
    said = worker.said("recovered")
    return said[-1]["partitions"] if said else []


def kept_in(folder: Path) -> set[int]:
    """The partitions of which there is a database."""
    return {int(found.parent.name.rpartition("-")[2]) for found in folder.glob("*/CURRENT")}


def test_workers_on_rocksdb_end_in_the_counts_of_the_core_whatever_happens(
    feed: Feed, log: Log, start: Callable[..., Worker], tmp_path: Path
) -> None:
    def start_on(name: str) -> Worker:
        return start(PEERVIEW_STATE_STORE=f"rocksdb://{tmp_path / name}")

    reference = Reference()
    assert {feed.partition_of(practice) for practice in PRACTICES} == {0, 1}
    found = sets(reference, 120, 20)
    feed.send_everywhere(ClockTicked("tick-1", DAY, 0))
    for change in found[:60]:
        feed.send(change)
    feed.flush()

    killed = start_on("one")
    wait_until(lambda: killed.metric("peerview_compute_records_total") >= 20, "work in the middle")
    killed.kill()
    assert kept_in(tmp_path / "one") == {0, 1}

    # on the same folder, which holds what the dead one left there
    first = start_on("one").until_ready()
    second = start_on("two").until_ready()
    for change in found[60:90]:
        feed.send(change)
    feed.flush()
    wait_until(
        lambda: (
            sorted(partitions_of(first) + partitions_of(second)) == [0, 1]
            and len(partitions_of(first)) == 1
        ),
        "one partition each",
    )
    wait_until(lambda: kept_in(tmp_path / "one") == set(partitions_of(first)), "the other's gone")
    assert kept_in(tmp_path / "two") == set(partitions_of(second))

    # what comes back to a worker that had it before
    second.kill()
    for change in found[90:]:
        feed.send(change)
    feed.flush()
    until_counts(log, reference.counts(DAY), day_text(DAY))
    assert kept_in(tmp_path / "one") == {0, 1}
    feed.send_everywhere(ClockTicked("tick-2", DAY + 60, 0))
    feed.flush()
    until_counts(log, reference.counts(DAY + 60), day_text(DAY + 60))
    assert first.stop() == 0
