"""A standby has read a partition's states before its owner dies, and takes over from there."""

from collections.abc import Callable

import pytest

from peerview_common import topics
from peerview_common.changes import ClockTicked
from peerview_common.days import day_text
from tests.compute.engine.feed import DAY, Feed
from tests.compute.engine.test_worker import PRACTICES, sets
from tests.compute.engine.world import Log, Reference, Worker, until_counts, wait_until

pytestmark = pytest.mark.broker

STANDBYS = {"PEERVIEW_STANDBY_REPLICAS": "1"}


def partitions_of(worker: Worker) -> set[int]:
    said = worker.said("recovered")
    return set(said[-1]["partitions"]) if said else set()


def test_a_standby_takes_over_with_what_it_read_before(
    feed: Feed, log: Log, start: Callable[..., Worker]
) -> None:
    reference = Reference()
    feed.send_everywhere(ClockTicked("tick-1", DAY, 0))
    for change in sets(reference, 60, 30):
        feed.send(change)
    feed.flush()
    workers = [start(**STANDBYS), start(**STANDBYS)]
    everything = {feed.partition_of(practice) for practice in PRACTICES}
    wait_until(
        lambda: (
            all(partitions_of(worker) for worker in workers)
            and partitions_of(workers[0]) | partitions_of(workers[1]) >= everything
            and not partitions_of(workers[0]) & partitions_of(workers[1])
        ),
        "two workers that share the partitions",
    )
    until_counts(log, reference.counts(DAY), day_text(DAY))
    survivor, dead = workers
    # all that the one holds has reached the other
    records = [r for r in log.records(topics.STATE) if r.partition in partitions_of(dead)]
    ends = {record.partition: record.offset + 1 for record in records}
    wait_until(
        lambda: survivor.metric("peerview_compute_standby_position") >= sum(ends.values()),
        "the standby's states",
    )
    survivor_took = len(survivor.said("recovered"))
    more = sets(reference, 20, 30, seed=7)
    dead.kill()
    for change in more:
        feed.send(change)
    feed.flush()
    until_counts(log, reference.counts(DAY), day_text(DAY))
    wait_until(lambda: len(survivor.said("recovered")) > survivor_took, "the takeover")
    took = survivor.said("recovered")[-1]
    assert set(took["partitions"]) >= everything
    # it had nearly all of it already: only what was written last had to be read
    assert took["records"] < len(records) / 2, (took, len(records))
    assert survivor.stop() == 0
