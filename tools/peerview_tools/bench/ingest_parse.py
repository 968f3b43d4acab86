"""The reader beside ``fhir.resources``, whose models validate what they read."""

import json
import os
import subprocess
from statistics import median
from typing import Final

from peerview_tools.bench.environments import ROOT, environment
from peerview_tools.bench.ingesting import resources
from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.surroundings import Surroundings

VERSION: Final = "8.3.0"
_NEEDED: Final = (f"fhir.resources=={VERSION}", "msgspec", "tzdata")
_PATHS: Final = ("libs/common", "services/ingest", "tools")
_SIZES = {"full": (500, 5), "quick": (200, 3), "tiny": (10, 1)}
"""Patients, and runs of each side."""


def run(around: Surroundings, size: Size) -> Found:
    python = environment(around, "bench-fhir-venv", f"fhir.resources {VERSION}", _NEEDED)
    patients, times = _SIZES[size]
    lines = resources(patients)
    file = around.new_folder() / "resources.ndjson"
    file.write_bytes(b"\n".join(lines))
    paths = os.pathsep.join(str(ROOT / path) for path in _PATHS)
    done = subprocess.run(
        [str(python), "-m", "peerview_tools.bench.parse_app", str(file), str(times)],
        env=os.environ | {"PYTHONPATH": paths},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(done.stdout)
    ours, theirs = (median(found[side]) / len(lines) * 1e6 for side in ("ours", "theirs"))
    return Found(
        theirs / ours,
        f"fhir.resources {VERSION} (R4B models, pydantic) {theirs:,.0f} µs a resource, the reader "
        f"{ours:,.0f} µs with pseudonyms; processor time, JSON included, in turn in one process; "
        f"medians of {times} runs of {len(lines):,} resources",
    )
