"""An epoch of all English practices, from snapshots in the log to published cells."""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np

from peerview_common.snapshots import encode_chunk
from peerview_share.consume.snapshots import SnapshotAssembler
from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.released import RELEASES, People, Series, chunks
from peerview_tools.bench.surroundings import Surroundings

ALL = 6_300
TOPIC = "indicator.snapshots"
MEAN_SIZE, SPREAD = 9_900, 0.55
"""A lognormal near that of England's list sizes: 62 million registered with 6,300 practices."""
_SIZES = {"full": (12, 200, RELEASES), "quick": (4, 24, 6), "tiny": (2, 4, 2)}
"""Practices with a past of their own, practices in all (copies of those pasts), releases before."""


@dataclass(frozen=True)
class Record:
    topic: str
    partition: int
    offset: int
    value: bytes


def run(around: Surroundings, size: Size) -> Found:
    originals, count, releases = _SIZES[size]
    with tempfile.TemporaryDirectory() as folder:
        series = Series(Path(folder))
        everybody = {
            f"A99{n:03}": People(patients, seed=100 + n)
            for n, patients in enumerate(_list_sizes(originals))
        }
        around.say(f"epoch: {releases} releases of {originals} practices")
        series.live(everybody, releases)
        people = dict(everybody)
        for n, (code, those) in enumerate(everybody.items()):
            others = [f"A98{m:03}" for m in range(originals, count) if m % originals == n]
            series.copy(code, others)
            people |= dict.fromkeys(others, those)
        epoch = series.open()
        records = [
            Record(TOPIC, 0, offset, encode_chunk(chunk))
            for offset, (code, those) in enumerate(people.items())
            for chunk in chunks(epoch, code, those, series.clock.now)
        ]
        patients = sum(len(those.hashes) for those in people.values())
        around.say(f"epoch: {count} practices, {patients / count:,.0f} patients each")
        assembler = SnapshotAssembler(series.database, TOPIC, series.clock)
        looked, began = time.perf_counter(), time.process_time()
        for record in records:
            assembler.take([record])
        taken = time.process_time()
        series.publish(frozenset(people))
        done = time.process_time()
        clock = time.perf_counter() - looked
        series.database.close()
    minutes = (done - began) / count * ALL / 60
    return Found(
        minutes,
        f"measured on {count} practices and multiplied: {done - began:.1f} s of one processor "
        f"({taken - began:.1f} s to take the snapshots in, {done - taken:.1f} s to decide, write, "
        f"publish and pack), {clock:.1f} s by the clock, so {clock / count * ALL / 60:.0f} minutes "
        f"on a machine as busy; {patients / count:,.0f} patients on average, each practice with "
        f"{releases} earlier releases of all 12 indicators, {originals} different pasts; SQLite",
    )


def _list_sizes(count: int) -> list[int]:
    """Evenly placed in the distribution, so that few stand for all; their mean is England's."""
    shares = (np.arange(count) + 0.5) / count
    normal = np.array([NormalDist().inv_cdf(share) for share in shares])
    sizes = np.exp(SPREAD * normal)
    return [round(size) for size in (MEAN_SIZE * sizes / sizes.mean()).tolist()]
