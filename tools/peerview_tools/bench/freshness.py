"""How old a figure is: from a record's append to the value that counts it, at a steady rate."""

import time

from peerview_tools.bench import probe
from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.processes import wait_until
from peerview_tools.bench.surroundings import Surroundings
from peerview_tools.demo.freshness import quantile

RATE = 50.0
_SIZES = {"full": (20_000, 40.0), "quick": (2_000, 8.0), "tiny": (100, 1.0)}


def run(around: Surroundings, size: Size) -> Found:
    patients, seconds = _SIZES[size]
    place = around.filled(patients, 8)
    with place.worker().until_ready(), place.feed() as feed:
        # the first seconds warm up the feed and the worker's code
        warm = time.time() + 2
        end = warm + seconds
        sent = probe.send(place, feed, patients, RATE, lambda: time.time() < end)

        def whole() -> list[probe.Wait]:
            found = probe.waits(place, warm)
            return [] if any(wait.seconds == float("inf") for wait in found) else found

        found = [wait.seconds * 1000 for wait in wait_until(whole, "all values", 60, 0.5)]
    return Found(
        quantile(found, 0.99),
        f"p99; p50 {quantile(found, 0.5):.0f} ms, longest {max(found):.0f} ms; {len(found):,} of "
        f"{sent:,} records of one patient at {RATE:.0f} a second, {patients:,} patients held",
    )
