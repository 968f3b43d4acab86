"""A code list that grows: the figures that need it wait, and a full submission ends the waiting."""

import csv
import gzip
import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from peerview_common.codes import COLUMNS, CodeList, shipped
from peerview_tools import send
from peerview_tools.demo import actions
from peerview_tools.demo.stack import SERVICES
from peerview_tools.send import Exit, Options
from peerview_tools.simulator import Practice, codes, history
from tests.endtoend.stack import DAY, World, practice, running

pytestmark = pytest.mark.broker

LEFT_OUT = {codes.HYPERTENSION.code, codes.SYSTOLIC.code}
"""With the first whole facts were dropped, with the second a part of facts that were kept."""


def shorter_list(folder: Path) -> Path:
    path = folder / "codes.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(
            (row.cluster, row.system, row.code, row.origin)
            for row in shipped().rows
            if row.code not in LEFT_OUT
        )
    assert CodeList.load(path).version != shipped().version
    return path


def restart_with_the_shipped_list(world: World) -> None:
    for name in SERVICES:
        world.stack.services[name].ask_to_stop()
    for name in SERVICES:
        service = world.stack.services[name]
        service.await_end(time.monotonic() + 30)
        service.environment = {
            key: value for key, value in service.environment.items() if "CODE_LIST" not in key
        }
    world.stack.start()
    world.stack.wait_ready()


def live(world: World, who: Practice, *, waiting: set[str]) -> dict[str, Any]:
    """The live figures, once exactly these wait."""
    with world.staff(who) as staff:

        def look() -> dict[str, Any] | None:
            found = actions.live(staff, who.ods)
            told = {name for name, each in found.items() if each["state"] != "current"}
            return found if len(found) == 12 and told == waiting else None

        return actions.wait_for(f"{waiting or 'nothing'} to wait", look, check=world.stack.check)


def test_a_full_submission_makes_figures_current_and_right(
    bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    who = practice("A99095", size=150, seed=95)
    text = "".join(json.dumps(found) + "\n" for found in history(who, DAY)).encode()
    folder = tmp_path / "records"
    folder.mkdir()
    half = text.index(b"\n", len(text) // 2) + 1
    (folder / "1.ndjson").write_bytes(text[:half])
    (folder / "2.ndjson.gz").write_bytes(gzip.compress(text[half:]))
    settings = {"CODE_LIST": str(shorter_list(tmp_path))}
    prefix = f"backfill-{uuid.uuid4().hex[:8]}."
    with running(tmp_path, bootstrap, prefix, settings=settings) as world:
        expected = world.evaluated(who, tmp_path)

        def submit(*, full: bool) -> int:
            token = world.tokens.system(who)
            return send.run(Options([folder], world.stack.ingest.url, token, full=full))

        assert submit(full=False) == Exit.DONE
        old = live(world, who, waiting=set())
        assert actions.counts_of(old)["bp-htn-u80"] != expected["bp-htn-u80"]

        restart_with_the_shipped_list(world)
        waiting = live(world, who, waiting={"bp-htn-u80"})
        assert actions.counts_of(waiting)["bp-htn-u80"] != expected["bp-htn-u80"]
        assert submit(full=True) == Exit.DONE
        assert actions.counts_of(live(world, who, waiting=set())) == expected
