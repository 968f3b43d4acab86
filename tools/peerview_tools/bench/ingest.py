"""Ingest, end to end: lines in, acknowledged by the log and committed to the index."""

import time
from statistics import median
from typing import NamedTuple

from peerview_tools.bench.ingesting import IngestProcess, for_practice, resources
from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.processes import cpu_seconds
from peerview_tools.bench.surroundings import Surroundings

_SIZES = {"full": (2_500, 3), "quick": (1_000, 2), "tiny": (20, 1)}
"""Patients of a practice, and practices measured."""


class Rate(NamedTuple):
    """Resources a second of the process's own processor time, and of the clock."""

    core: float
    wall: float


def run(around: Surroundings, size: Size) -> Found:
    patients, times = _SIZES[size]
    lines = resources(patients)
    place = around.topics(4)
    first: list[Rate] = []
    again: list[Rate] = []
    with IngestProcess(place).until_ready() as ingest:
        ingest.bulk(99, for_practice(resources(50), 99))
        for number in range(1, times + 1):
            mine = for_practice(lines, number)
            rate, receipt = _timed(ingest, number, mine)
            first.append(rate)
            taken = receipt["accepted"] + receipt["dropped"]
            if receipt["rejected"] or taken != len(mine):
                raise RuntimeError(f"not all of {len(mine)} resources were taken: {receipt}")
            written = ingest.facts_in_log(number)
            # a patient who objects is in the log by that alone
            if not 0.95 * receipt["accepted"] <= written <= receipt["accepted"]:
                raise RuntimeError(f"{written} facts in the log of {receipt['accepted']} accepted")
            rate, receipt = _timed(ingest, number, mine)
            again.append(rate)
            if receipt["unchanged"] < 0.95 * receipt["accepted"]:
                raise RuntimeError(f"not unchanged when sent again: {receipt}")
    core, wall = (median(getattr(rate, name) for rate in first) for name in ("core", "wall"))
    return Found(
        core,
        f"a second of the process's own processor time; {wall:,.0f} a second of the clock; sent "
        f"again unchanged, {median(rate.core for rate in again):,.0f}; median of {times} practices "
        f"of {len(lines):,} resources",
    )


def _timed(ingest: IngestProcess, number: int, lines: list[bytes]) -> tuple[Rate, dict[str, int]]:
    wall, used = time.perf_counter(), cpu_seconds(ingest.pid)
    receipt = ingest.bulk(number, lines)
    wall, used = time.perf_counter() - wall, cpu_seconds(ingest.pid) - used
    return Rate(len(lines) / max(used, 0.01), len(lines) / wall), receipt
