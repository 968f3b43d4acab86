"""A longer code list, on a real broker: who waits for a full submission, and until when."""

import csv
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec
import pytest

from peerview_common import topics
from peerview_common.changes import BackfillCompleted, ClockTicked, ReleaseCut
from peerview_common.codes import COLUMNS, CodeList, Row, shipped
from peerview_common.snapshots import decode_body, join_chunks
from tests.compute.engine.feed import DAY, Feed, change_set, history
from tests.compute.engine.world import Log, Worker, wait_until

pytestmark = pytest.mark.broker

Start = Callable[..., Worker]
OLD, NEW = "A99090", "A99091"


def write_list(folder: Path) -> tuple[Path, str]:
    """The shipped list with one more code of one cluster, as an operator's file."""
    row = Row("NOCX_COD", "http://snomed.info/sct", "999999991000000101", "test")
    path = folder / "codes.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(
            (one.cluster, one.system, one.code, one.origin) for one in [*shipped().rows, row]
        )
    return path, CodeList.load(path).version


def test_a_practice_waits_until_its_full_submission_has_ended(
    feed: Feed, log: Log, start: Start, tmp_path: Path
) -> None:
    def waiting(practice: str) -> set[str] | None:
        """None while there are no values of the list in use."""
        found = [value for value in log.values().values() if value.practice == practice]
        current = {value.definitions for value in found} == {expected}
        return {v.indicator for v in found if v.state != "current"} if current else None

    path, version = write_list(tmp_path)
    worker = start().until_ready()
    expected = worker.said("listening")[0]["definitions"]
    feed.send_everywhere(ClockTicked("tick", DAY, 0))
    feed.send(change_set(OLD, [(1, history(Random(1), 8))], data_through=5))
    feed.flush()
    wait_until(lambda: waiting(OLD) == set(), "the first values")
    assert worker.stop() == 0

    worker = start(PEERVIEW_CODE_LIST=str(path)).until_ready()
    expected = worker.said("listening")[0]["definitions"]
    wait_until(lambda: waiting(OLD) == {"cervical"}, "values under the new list")
    more = change_set(OLD, [(2, history(Random(2), 8))], data_through=6)
    feed.send(msgspec.structs.replace(more, codes=version))
    fresh = change_set(NEW, [(1, history(Random(3), 8))], data_through=7)
    feed.send(msgspec.structs.replace(fresh, codes=version))
    feed.send_everywhere(ReleaseCut("cut-1", 1, DAY, 0))
    feed.flush()
    wait_until(lambda: waiting(NEW) == set(), "the new practice's values")
    assert waiting(OLD) == {"cervical"}

    def snapshot_states() -> dict[str, dict[str, str]]:
        chunks = log.chunks()
        bodies = {
            one: decode_body(join_chunks([c for c in chunks if c.practice == one]) or b"")
            for one in {chunk.practice for chunk in chunks}
        }
        return {practice: body.states for practice, body in bodies.items()}

    wait_until(lambda: len(snapshot_states()) == 2, "snapshots")
    assert snapshot_states() == {OLD: {"cervical": "awaiting-backfill"}, NEW: {}}

    feed.send(BackfillCompleted("b", OLD, version, 8), feed.partition_of(OLD))
    feed.flush()
    wait_until(lambda: waiting(OLD) == set(), "the end of waiting")
    worker.kill()
    length = len(log.records(topics.VALUES))
    start(PEERVIEW_CODE_LIST=str(path)).until_ready()
    feed.send(change_set(OLD, [], data_through=9))
    feed.flush()
    wait_until(lambda: len(log.records(topics.VALUES)) > length, "values of another worker")
    assert waiting(OLD) == set()
