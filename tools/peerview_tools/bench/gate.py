"""One practice's whole decision at a cut, as share makes it from its database."""

import tempfile
import time
from pathlib import Path
from statistics import median

from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.released import REGISTERS, RELEASES, People, Series
from peerview_tools.bench.surroundings import Surroundings

PRACTICE = "A99001"
_SIZES = {"full": (10_000, RELEASES, 25), "quick": (10_000, 12, 9), "tiny": (600, 2, 1)}


def run(around: Surroundings, size: Size) -> Found:
    patients, releases, times = _SIZES[size]
    with tempfile.TemporaryDirectory() as folder:
        series = Series(Path(folder))
        people = People(patients, seed=11)
        around.say(f"gate: {releases} releases of {patients:,} patients")
        series.live({PRACTICE: people}, releases)
        epoch = series.open()
        series.submit(epoch, PRACTICE, people)
        compared = series.moved(PRACTICE)
        seconds, clock = [], []
        for _ in range(times):
            began, looked = time.process_time(), time.perf_counter()
            decided = series.epochs.decide(PRACTICE, epoch, released=epoch.day)
            seconds.append(time.process_time() - began)
            clock.append(time.perf_counter() - looked)
        series.database.close()
    moving = sum(decision.is_release for decision in decided.decisions)
    return Found(
        median(seconds) * 1000,
        f"its own processor time, median of {times}, longest {max(seconds) * 1000:.0f} ms; by the "
        f"clock {median(clock) * 1000:.0f} ms; from SQLite to decided cells: "
        f"{patients:,} patients, {len(REGISTERS)} indicators, {compared} cells released before of "
        f"{releases * len(REGISTERS)} that could be; {moving} of {len(REGISTERS)} move, so each of "
        "them was compared with all its earlier ones",
    )
