"""One day to the next, for everybody; and how long what arrives meanwhile waits for it."""

import threading
import time

from peerview_common import topics
from peerview_compute.engine.records import MARKER_SIGN, decode_marker
from peerview_tools.bench import probe, recovery
from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.pair import pair
from peerview_tools.bench.processes import wait_until
from peerview_tools.bench.surroundings import Surroundings, Topics
from peerview_tools.demo.freshness import quantile

WAIT_MS = 250
RATE = 20.0


def run(around: Surroundings, size: Size) -> Found:
    patients = recovery.PATIENTS[size]
    place = around.filled(patients, recovery.PARTITIONS)
    with pair(place, patients) as workers:
        workers.until_whole()
        time.sleep(3)
        day = place.ticked + 1
        stop = threading.Event()
        begun = time.time()
        with place.feed() as feed, place.feed() as clock:
            sender = threading.Thread(
                target=probe.send,
                args=(place, feed, patients, RATE, lambda: not stop.is_set()),
            )
            sender.start()
            try:
                time.sleep(3)
                ticked = time.time()
                clock.tick(day)
                clock.flush()
                done = wait_until(lambda: _done(place, day, ticked), "the tick's end", 300, 0.5)
                time.sleep(2)
            finally:
                stop.set()
                sender.join()
        wait_until(lambda: _counted(place, begun), "all values", 120, 0.5)
    refreshed = sum(
        b"/" in record.key for record in place.records(place.name(topics.STATE), ticked)
    )
    found = probe.waits(place, begun)
    before = [wait.seconds * 1000 for wait in found if wait.appended < ticked]
    within = [wait.seconds * 1000 for wait in found if ticked <= wait.appended <= done]
    longest = max(within, default=0.0)
    stored = [
        wait.seconds * 1000
        for wait in probe.written(place, begun)
        if ticked <= wait.appended <= done
    ]
    return Found(
        done - ticked,
        f"{patients:,} patients of two workers, about {refreshed:,} states written anew; of "
        f"{len(within)} events meanwhile the longest waited {longest:.0f} ms for its value (at "
        f"most {WAIT_MS}), p50 {quantile(within or [0.0], 0.5):.0f} ms, "
        f"and {max(stored, default=0.0):.0f} ms for its state (p50 "
        f"{quantile(stored or [0.0], 0.5):.0f} ms); before the tick a value's p50 was "
        f"{quantile(before or [0.0], 0.5):.0f} ms, longest {max(before, default=0.0):.0f} ms"
        f"{workers.told}",
        holds=longest <= WAIT_MS,
    )


def _done(place: Topics, day: int, since: float) -> float | None:
    """When the last partition's marker said that the day is done."""
    ends: dict[int, float] = {}
    for record in place.records(place.name(topics.STATE), since):
        if record.key.startswith(MARKER_SIGN) and decode_marker(record.value).done == day:
            ends.setdefault(record.partition, record.timestamp / 1000)
    return max(ends.values()) if len(ends) == place.partitions else None


def _counted(place: Topics, since: float) -> bool:
    return all(wait.seconds != float("inf") for wait in probe.waits(place, since))
