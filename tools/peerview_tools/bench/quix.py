"""Beside Quix Streams, on RocksDB as it comes.

Quix Streams is no part of Peerview: its pins stay out of the lock, and it gets an environment of
its own, made once in ``.cache/bench-venv``.
"""

import os
from typing import Final

from peerview_tools.bench.environments import ROOT, environment, python_of
from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.processes import Process
from peerview_tools.bench.stream import Side, compare
from peerview_tools.bench.surroundings import Surroundings, Topics
from peerview_tools.bench.worker import OURS, beside, streams

VERSION: Final = "3.28.1"
_PYTHON: Final = python_of("bench-venv")
_NEEDED: Final = (f"quixstreams=={VERSION}", "msgspec", "pyyaml", "ruamel.yaml", "python-dateutil",
                  "tzdata")  # fmt: skip
_PATHS: Final = ("libs/common", "services/compute", "tools")


def start(place: Topics, last: int) -> Process:
    folder = place.folder / "quix"
    env = {
        "BENCH_KAFKA": place.bootstrap,
        "BENCH_PREFIX": place.prefix,
        "BENCH_FOLDER": str(folder),
        "BENCH_LAST": str(last),
        "PYTHONPATH": os.pathsep.join(str(ROOT / path) for path in _PATHS),
    }
    command = [str(_PYTHON), "-m", "peerview_tools.bench.quix_app"]
    return Process(command, env, folder, sample=True)


def changelog(place: Topics) -> str:
    return f"changelog__{place.prefix}quix--{place.prefix}practice.changes--default"


def run(around: Surroundings, size: Size) -> Found:
    environment(around, "bench-venv", f"Quix Streams {VERSION}", _NEEDED)
    shapes, times = streams(size)
    ratios, told = [], []
    for stream in shapes:
        _, (ours, theirs) = compare(around, stream, [OURS, Side("Quix", start, changelog)], times)
        ratios.append(ours.wall / theirs.wall)
        told.append(beside(stream, "worker", ours, "Quix", theirs))
    return Found(
        min(ratios),
        f"Quix Streams {VERSION} on RocksDB, medians of {times}, the lesser of two; "
        + "; ".join(told),
    )
