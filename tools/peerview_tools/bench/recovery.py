"""Starting anew with everything: two workers read, join and count all patients' states."""

import time

from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.processes import wait_until
from peerview_tools.bench.surroundings import Surroundings

PARTITIONS = 8
PATIENTS = {"full": 1_000_000, "quick": 60_000, "tiny": 200}


def run(around: Surroundings, size: Size) -> Found:
    patients = PATIENTS[size]
    place = around.filled(patients, PARTITIONS)
    began = time.monotonic()
    with place.worker() as one, place.worker() as other:

        def whole() -> bool:
            return one.ready and other.ready and one.patients + other.patients == patients

        wait_until(whole, "two workers with all patients", 900, 0.2)
        taken = time.monotonic() - began
        told = sorted(
            (line["patients"], line["seconds"])
            for worker in (one, other)
            for line in worker.said("recovered")
        )
        around.say(f"recovered (patients, seconds): {told}")
        held = (one.patients, other.patients)
    return Found(
        taken,
        f"{patients:,} patients, {PARTITIONS} partitions, from starting both processes until both "
        f"are ready, with {held[0]:,} and {held[1]:,}",
    )
