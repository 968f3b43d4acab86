"""Workers and broker are killed, frozen and restarted while practices go on sending.

The schedule of faults and all that is sent follow from a seed. ``PEERVIEW_CHAOS_SEED`` repeats one;
``PEERVIEW_CHAOS_FAULTS`` says how many faults a long run has.
"""

import os
from pathlib import Path

import pytest

from tests.chaos.cluster import Cluster
from tests.chaos.faults import Striker
from tests.chaos.schedule import schedule
from tests.compute.engine.world import CORE


def run(seed: int, faults: int, folder: Path, closing: list[str]) -> None:
    with Cluster(CORE, seed, folder) as cluster:
        striker = Striker(cluster)
        try:
            for _ in range(2):
                cluster.start()
            cluster.send(cluster.story.burst(20))
            cluster.send(cluster.story.tick(0))
            cluster.until(lambda: cluster.count("recovered") >= 1, "a worker is ready")
            for fault in schedule(seed, faults):
                striker.strike(fault)
            cluster.send(cluster.story.rest())
            cluster.send(cluster.story.cut())
            cluster.check()
            # what is in the log is all there is to know: a fresh start evaluates a new day
            cluster.kill_all()
            cluster.start()
            cluster.send(cluster.story.tick(1))
            cluster.send(cluster.story.cut())
            cluster.check()
        except AssertionError as error:
            cluster.dump()
            lines = [
                f"PEERVIEW_CHAOS_SEED={seed} PEERVIEW_CHAOS_FAULTS={faults}, fault "
                f"{striker.struck}; the workers' logs are in {folder}",
                *cluster.said,
                str(error),
            ]
            raise AssertionError("\n".join(lines)) from error
        closing.append(cluster.report(striker.struck))
        (folder / "times.log").write_text(f"{cluster.times}\n")


def seed_or(default: int) -> int:
    return int(os.environ.get("PEERVIEW_CHAOS_SEED") or default)


@pytest.mark.broker
def test_ten_faults_change_nothing(tmp_path: Path, closing: list[str]) -> None:
    run(seed_or(1), 10, tmp_path, closing)


@pytest.mark.broker
@pytest.mark.chaos
@pytest.mark.timeout(7200)
def test_many_faults_change_nothing(tmp_path: Path, closing: list[str]) -> None:
    faults = int(os.environ.get("PEERVIEW_CHAOS_FAULTS") or 100)
    run(seed_or(int.from_bytes(os.urandom(3))), faults, tmp_path, closing)
