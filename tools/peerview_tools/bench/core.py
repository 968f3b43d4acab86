"""The pure core alone."""

from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.stream import CoreRun, Stream, middle
from peerview_tools.bench.surroundings import Surroundings

_SIZES = {"full": (Stream(2000, 5, 50), 5), "quick": (Stream(500, 3, 50), 3),
          "tiny": (Stream(20, 1, 5), 1)}  # fmt: skip


def run(around: Surroundings, size: Size) -> Found:
    stream, times = _SIZES[size]
    core = CoreRun(stream)
    rate = middle([core.run() for _ in range(times)])
    return Found(
        rate.cpu,
        f"a second of its own processor time; {rate.wall:,.0f} a second of the clock; "
        f"median of {times} runs of {stream.facts:,} facts",
    )
