"""`peerview bench`: one JSON line a measure on standard output, progress on standard error."""

import json
import os
import time
import traceback
from pathlib import Path
from typing import Any

from peerview_tools.bench import table
from peerview_tools.bench.measure import Measure, Size
from peerview_tools.bench.registry import MEASURES, named
from peerview_tools.bench.surroundings import Surroundings


def run(only: list[str], *, size: Size = "full", page: Path | None = None) -> int:
    """0 once everything was measured, whether or not targets were met; 1 where a measure failed;
    2 for a name that there is not. Only full sizes go into the page."""
    unknown = [name for name in only if named(name) is None]
    if unknown:
        names = ", ".join(measure.name for measure in MEASURES)
        print(f"no measure {', '.join(unknown)}; there are: {names}", flush=True)
        return 2
    chosen = [measure for measure in MEASURES if not only or measure.name in only]
    failed = False
    with Surroundings() as around:
        for measure in chosen:
            busy = os.getloadavg()[0]
            began = time.monotonic()
            around.say(f"{measure.name}: {measure.what}")
            line = _measured(measure, around, size)
            failed |= line["value"] is None
            print(json.dumps(line, ensure_ascii=False), flush=True)
            around.say(f"{measure.name}: {time.monotonic() - began:.0f} s")
            if page is not None and size == "full":
                table.update(page, [(measure, line, busy)], [m.name for m in MEASURES])
    return 1 if failed else 0


def _measured(measure: Measure, around: Surroundings, size: Size) -> dict[str, Any]:
    try:
        return measure.line(measure.run(around, size))
    except Exception as error:
        traceback.print_exc()
        return {
            "measure": measure.name,
            "value": None,
            "unit": measure.unit,
            "target": measure.target,
            "ok": False,
            "against": f"failed: {type(error).__name__}: {error}"[:300],
        }
