"""What a patient takes of a worker's memory, as the system counts it."""

import time

from peerview_tools.bench import load
from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.processes import Worker, resident_bytes
from peerview_tools.bench.surroundings import Surroundings

_SIZES = {"full": (20_000, 220_000), "quick": (5_000, 45_000), "tiny": (20, 200)}


def run(around: Surroundings, size: Size) -> Found:
    """The difference of two workers, so that what a worker is without patients does not count."""
    few, many = _SIZES[size]
    resident = []
    for patients in (few, many):
        place = around.filled(patients, 2)
        with place.worker().until_ready() as worker:
            resident.append(_settled(worker))
    each = (resident[1] - resident[0]) / (many - few)
    encoded = sum(len(state) for _, state in load.stored_patients(0, 500)) / 500
    return Found(
        each / 1000,
        f"resident memory of a recovered worker, {resident[1] / 1e6:,.0f} MB with {many:,} patients"
        f" less {resident[0] / 1e6:,.0f} MB with {few:,}; an encoded state is {encoded:,.0f} bytes",
    )


def _settled(worker: Worker, seconds: float = 20) -> int:
    """Once it no longer changes."""
    end = time.monotonic() + seconds
    last = resident_bytes(worker.pid)
    while time.monotonic() < end:
        time.sleep(2)
        now = resident_bytes(worker.pid)
        if abs(now - last) < 0.002 * last:
            return now
        last = now
    return last
