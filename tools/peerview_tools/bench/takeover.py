"""A worker dies; a standby has its partitions. From the kill to the first value of one of them."""

import time

from peerview_tools.bench import load, probe
from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.pair import pair
from peerview_tools.bench.processes import Worker, cpu_seconds, wait_until
from peerview_tools.bench.surroundings import Surroundings

PARTITIONS = 2
_SIZES = {"full": 200_000, "quick": 20_000, "tiny": 200}


def run(around: Surroundings, size: Size) -> Found:
    patients = _SIZES[size]
    place = around.filled(patients, PARTITIONS)
    standbys = {"PEERVIEW_STANDBY_REPLICAS": "1"}
    with pair(place, patients, **standbys) as workers:
        workers.until_whole()
        one, other = workers.workers
        for worker in (one, other):
            _quiet(worker)
        # a change for every partition, sent before the kill is missed: the dead one's must wait
        killed = time.time()
        one.kill()
        with place.feed() as feed:
            for practice in place.practices:
                number = place.patients_of(practice, patients)[0]
                known = load.templates(min(500, patients))
                facts = known[number % len(known)].change(99)
                feed.change(practice, [(load.patient_key(number), facts)])
            feed.flush()

        def counted() -> list[probe.Wait]:
            other.check()
            found = probe.waits(place, killed)
            return [] if any(wait.seconds == float("inf") for wait in found) else found

        found = wait_until(counted, "values of all partitions", 300, 0.5)
        taken = max(wait.appended + wait.seconds for wait in found) - killed
        told = other.said("recovered")[-1]
    return Found(
        taken,
        f"kill -9 of one of two workers until every practice has a value again; {PARTITIONS} "
        f"partitions of {patients // PARTITIONS:,} patients, one standby, session timeout 10 s in "
        f"it; the standby's own recovery took {told['seconds']:.1f} s{workers.told}",
    )


def _quiet(worker: Worker, seconds: float = 240) -> None:
    """The standby's states have been read: it does nothing any more."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        used = cpu_seconds(worker.pid)
        time.sleep(3)
        if cpu_seconds(worker.pid) - used < 0.4:
            return
