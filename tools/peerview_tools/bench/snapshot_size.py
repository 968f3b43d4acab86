"""What a released snapshot takes in share's database, with its part of the practice's roster."""

import tempfile
from pathlib import Path
from statistics import mean

from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.released import RELEASES, People, Series, chunks, stored
from peerview_tools.bench.surroundings import Surroundings

PRACTICE = "A99001"
_SIZES = {"full": (10_000, RELEASES), "quick": (10_000, 6), "tiny": (600, 2)}


def run(around: Surroundings, size: Size) -> Found:
    patients, releases = _SIZES[size]
    with tempfile.TemporaryDirectory() as folder:
        series = Series(Path(folder))
        people = People(patients, seed=12)
        epoch = series.open()
        series.submit(epoch, PRACTICE, people)
        wire = sum(len(c.part) for c in chunks(epoch, PRACTICE, people, series.clock.now))
        series.publish(frozenset({PRACTICE}))
        roster, (first,) = stored(series.path, PRACTICE)
        people.pass_month()
        series.live({PRACTICE: people}, releases - 1)
        whole, bodies = stored(series.path, PRACTICE)
        series.database.close()
    return Found(
        (roster + first) / 1000,
        f"the dearest, the first of a practice: {roster / 1000:.1f} kB of patient hashes, which "
        f"later ones share, and {first / 1000:.1f} kB of cells; {len(bodies)} snapshots take "
        f"{(whole + sum(bodies)) / 1000:.0f} kB, {(whole + sum(bodies)) / len(bodies) / 1000:.1f} "
        f"kB each, their cells {mean(bodies) / 1000:.1f} kB; on the wire one is "
        f"{wire / 1000:.0f} kB; {patients:,} patients, all 12 indicators released each time",
    )
