"""Starting anew with everything: two workers read, join and count all patients' states."""

import time

from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.pair import pair
from peerview_tools.bench.surroundings import Surroundings

PARTITIONS = 8
PATIENTS = {"full": 1_000_000, "quick": 60_000, "tiny": 200}


def run(around: Surroundings, size: Size) -> Found:
    patients = PATIENTS[size]
    place = around.filled(patients, PARTITIONS)
    began = time.monotonic()
    with pair(place, patients) as workers:
        workers.until_whole(0.2)
        taken = time.monotonic() - began
        told = sorted(
            (line["patients"], line["seconds"])
            for worker in workers.workers
            for line in worker.said("recovered")
        )
        around.say(f"recovered (patients, seconds): {told}")
        held = [worker.patients for worker in workers.workers]
    return Found(
        taken,
        f"{patients:,} patients, {PARTITIONS} partitions, from starting both processes until both "
        f"are ready, with {held[0]:,} and {held[1]:,}{workers.told}",
    )
