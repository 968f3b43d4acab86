"""Beside Faust with one table write a patient."""

import sys
from importlib.metadata import version

from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.processes import Process
from peerview_tools.bench.stream import Side, compare
from peerview_tools.bench.surroundings import Surroundings, Topics
from peerview_tools.bench.worker import OURS, beside, streams


def start(place: Topics, last: int) -> Process:
    folder = place.folder / "faust"
    env = {
        "BENCH_KAFKA": place.bootstrap,
        "BENCH_PREFIX": place.prefix,
        "BENCH_FOLDER": str(folder),
    }
    command = [sys.executable, "-m", "peerview_tools.bench.faust_app", "worker", "-l", "warn"]
    return Process(command, env, folder, sample=True)


def changelog(place: Topics) -> str:
    return f"{place.prefix}faust-states-changelog"


def run(around: Surroundings, size: Size) -> Found:
    shapes, times = streams(size)
    times = min(times, 3)  # a third as fast: it need not be told apart so finely
    ratios, told = [], []
    for stream in shapes:
        side = Side("Faust table", start, changelog)
        _, (ours, theirs) = compare(around, stream, [OURS, side], times)
        ratios.append(ours.wall / theirs.wall)
        told.append(beside(stream, "worker", ours, "Faust table", theirs))
    faust = f"Faust {version('faust-streaming')}, one table write a patient, medians of {times}"
    return Found(min(ratios), f"{faust}, the lesser of two; " + "; ".join(told))
