"""A practice is re-keyed by the operator's commands, with ingest and a real compute, and ingest
is killed meanwhile: the figures and the patients of snapshots stay what they were."""

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from peerview_common import topics
from peerview_common.changes import ClockTicked, ReleaseCut
from peerview_common.days import parse_day
from peerview_common.snapshots import decode_body, join_chunks
from peerview_common.values import IndicatorValue, decode_value
from peerview_tools.client import Client
from peerview_tools.demo import actions
from peerview_tools.simulator import Practice, history
from tests.compute.engine.feed import Feed
from tests.compute.engine.world import Log, wait_until
from tests.endtoend.stack import DAY, World, practice, running
from tests.endtoend.test_commands import peerview

pytestmark = pytest.mark.broker

AS_OF = parse_day(DAY.isoformat())
CORE = ("ingest", "compute")
Counts = dict[str, tuple[int, ...]]


class Watched:
    """One practice's values and snapshots, as they stand in the log."""

    def __init__(self, world: World, who: Practice, feed: Feed) -> None:
        self.log = Log(world.stack.bootstrap, world.stack.prefix)
        self.world, self.who, self.feed = world, who, feed
        self.cuts = 0

    def values(self) -> list[IndicatorValue]:
        """Everything that was ever published, in its order."""
        found = [decode_value(record.value) for record in self.log.records(topics.VALUES)]
        return [value for value in found if value.practice == self.who.ods]

    def newest(self) -> dict[str, IndicatorValue]:
        return {value.indicator: value for value in self.values()}

    def await_values(self, met: Callable[[dict[str, IndicatorValue]], bool], what: str) -> Counts:
        def look() -> dict[str, IndicatorValue] | None:
            self.world.stack.check()
            found = self.newest()
            return found if len(found) == 12 and met(found) else None

        return counts(wait_until(look, what))

    def await_offset(self, positions: dict[int, int]) -> Counts:
        ((_, offset),) = positions.items()
        return self.await_values(
            lambda found: all(value.source.offset >= offset for value in found.values()),
            "the values include what was sent",
        )

    def cut(self) -> tuple[bytes, dict[str, str]]:
        """A release cut: which patients it has with what, and the states of cells."""
        self.cuts += 1
        self.feed.send_everywhere(ReleaseCut(f"cut {self.cuts}", self.cuts, AS_OF, 0))
        self.feed.flush()

        def look() -> bytes | None:
            chunks = [
                chunk
                for chunk in self.log.chunks()
                if chunk.practice == self.who.ods and chunk.cut == self.cuts
            ]
            attempts = {chunk.attempt for chunk in chunks}
            for attempt in attempts:
                body = join_chunks(chunk for chunk in chunks if chunk.attempt == attempt)
                if body is not None:
                    return body
            return None

        body = wait_until(look, f"the snapshot of cut {self.cuts}")
        return body, decode_body(body).states


def counts(values: dict[str, IndicatorValue]) -> Counts:
    return {
        name: (v.denominator, v.numerator, v.met, v.miss, v.exception, v.excluded, v.objected)
        for name, v in values.items()
    }


@pytest.fixture
def own_world(bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[World]:
    with running(tmp_path, bootstrap, topic_prefix, services=CORE) as found:
        yield found


@pytest.fixture
def feed(own_world: World) -> Iterator[Feed]:
    stack = own_world.stack
    made = Feed(stack.bootstrap, stack.prefix, stack.partitions)
    made.send_everywhere(ClockTicked("tick", AS_OF, 0))
    made.flush()
    yield made
    made.close()


def moved(records: list[Any]) -> list[Any]:
    """The records as the practice's new system has them: other ids throughout."""
    text = json.dumps(records)
    for each in records:
        text = text.replace(each["id"], str(uuid.uuid5(uuid.NAMESPACE_OID, each["id"])))
    found: list[Any] = json.loads(text)
    return found


def test_a_practice_moves_to_another_system(own_world: World, feed: Feed, tmp_path: Path) -> None:
    world = own_world
    who = replace(practice("A99081", size=100, seed=81), objections=0.05)
    records = list(history(who, DAY))
    watched = Watched(world, who, feed)
    with world.system(who) as system:
        taken = actions.bulk(system, records)
    before = watched.await_offset(taken.positions)
    assert {name: figures[:6] for name, figures in before.items()} == {
        name: (f["denominator"], f["numerator"], f["met"], f["miss"], f["exception"], f["excluded"])
        for name, f in world.evaluated(who, tmp_path).items()
    }
    assert before["bp-htn-u80"][-1] > 0
    snapshot, states = watched.cut()
    assert states == {}
    settled = len(watched.values())

    operator = {
        "PEERVIEW_INGEST": world.stack.ingest.url,
        "PEERVIEW_TOKEN": world.issuer.token(subject="operator", scope="ingest:operate"),
    }

    def rekey(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command, *rest = arguments
        return peerview("rekey", command, "--practice", who.ods, *rest, **operator)

    begun = rekey("begin")
    assert begun.returncode == 0, begun.stderr
    assert "version 2, open" in begun.stdout
    watched.await_values(lambda found: states_of(found) == {"rekeying"}, "the figures are held")

    # the new system sends all of it; ingest is killed on the way
    new = replace(who, system="another-gp-system")
    token = world.issuer.token(
        subject="new feed", practices=[who.ods], scope="ingest:write", system=new.system
    )

    def new_system() -> Client:
        return Client(world.stack.ingest.url, lambda: token)

    sent = moved(records)
    half = len(sent) // 2
    with new_system() as system:
        actions.bulk(system, sent[:half])
    early = rekey("finish")
    assert early.returncode == 1
    assert "former patients are not matched" in early.stderr
    world.stack.ingest.kill()
    world.stack.ingest.start()
    world.stack.wait_ready("ingest")
    with new_system() as system:
        actions.bulk(system, sent)
    assert set(watched.cut()[1].values()) == {"rekeying"}, "a cut in between releases nothing"
    shown = rekey("status")
    assert "unmatched 0" in shown.stdout

    done = rekey("finish")
    assert done.returncode == 0, done.stderr
    assert "version 2, done" in done.stdout
    after = watched.await_values(lambda found: states_of(found) == {"current"}, "all is over")
    assert after == before
    assert watched.cut() == (snapshot, {}), "the same patients, to the byte"
    for value in watched.values()[settled:]:
        if value.state == "current":
            assert counts({value.indicator: value})[value.indicator] == before[value.indicator]

    # and what the new system sends from now on counts once
    with new_system() as system:
        again = actions.bulk(system, sent)
        assert again.unchanged == again.accepted
    assert rekey("finish").returncode == 0, "to finish again is to find it finished"

    # erasing by the command
    erased = peerview(
        "erase", "--practice", who.ods, "--yes", "--patients", "-",
        **operator | {"PEERVIEW_TOKEN": keeper(world, new)},
        stdin="\n".join(each["id"] for each in sent if each["resourceType"] == "Patient"),
    )  # fmt: skip
    assert erased.returncode == 0, erased.stderr
    watched.await_values(
        lambda found: not any(value.denominator for value in found.values()), "nobody is left"
    )


def keeper(world: World, who: Practice) -> str:
    return world.issuer.token(
        subject="manager", practices=[who.ods], scope="patients:write", system=who.system
    )


def states_of(found: dict[str, IndicatorValue]) -> set[str]:
    return {value.state for value in found.values()}


def test_staff_find_their_patients_behind_care_gaps(world: World) -> None:
    """Compute tells pseudonyms, ingest tells whose they are, to the practice's own staff alone."""
    who = practice("A99082", size=60, seed=82)
    records = list(history(who, DAY))
    with world.system(who) as system, world.staff(who) as staff:
        taken = actions.bulk(system, records)
        actions.await_counted(staff, who.ods, taken.positions, check=world.stack.check)
    ids = [each["id"] for each in records if each["resourceType"] == "Patient"]
    token = world.issuer.token(
        subject="dr-a", practices=[who.ods], scope="pseudonyms:read share:read",
        roles=["clinical"], system=who.system,
    )  # fmt: skip
    with Client(world.stack.compute.url, lambda: token) as compute:
        gaps = compute.get(f"/v1/practices/{who.ods}/care-gaps/bp-htn-u80")
    missing = {each["patient"] for each in gaps["patients"]}
    assert missing
    with Client(world.stack.ingest.url, lambda: token) as ingest:
        found = ingest.post("/v1/pseudonyms", {"patients": ids})
    theirs = {one for each in found["pseudonyms"] for one in each}
    assert missing <= theirs
    assert len(theirs) == len(ids)
