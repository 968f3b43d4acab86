"""The nightly attack, on both databases: when it is due, what it keeps, and how it alarms."""

import threading

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from peerview_common.catalogue import catalogue
from peerview_share.release.epochs import Epochs
from peerview_share.release.nightly import NightlyAttack
from peerview_share.store import attacks, schema
from peerview_share.store.leases import LostLeaseError
from tests.share.support import Clock, patients, submit

A = "A99001"
MIDNIGHT = 1_790_031_600_000
"""22 September 2026, 00:00 in London."""
HOUR = 3_600_000


class Night:
    def __init__(self, database):
        self.database = database
        self.clock = Clock(MIDNIGHT)
        self.epochs = Epochs(
            database, catalogue(), clock=self.clock, deadline_s=60, lag_days=0, snapshot_months=36
        )
        self.nightly = NightlyAttack(database, catalogue(), clock=self.clock, hour=2)
        self.lost = False
        self.nightly.begin()

    def release(self, numerator):
        epoch = self.epochs.open(20_000)
        self.epochs.mark_sent(epoch)
        cells = {"bp-htn-u80": patients(numerator, 100)}
        submit(self.database, A, epoch.number, cells, now=self.clock.now)
        current = self.epochs.current()
        hooks = {"alive": lambda: None, "guard": lambda connection: None}
        self.epochs.close(current, frozenset({A}), **hooks)
        self.epochs.publish_if_due(self.epochs.current(), lambda connection: None)

    def guard(self, _):
        if self.lost:
            raise LostLeaseError

    def turn(self):
        """One turn of the leader's loop, and what it started, to its end. Returns all runs."""
        with capture_logs() as self.logs:
            self.nightly.turn(self.guard)
            self.nightly.join()
        with self.database.read() as connection:
            return connection.execute(schema.attacks.select()).all()

    def forget(self):
        with self.database.write() as connection:
            connection.execute(schema.cells.update().values(is_release=False))


@pytest.fixture
def night(database):
    found = Night(database)
    yield found
    found.nightly.end()


def finds(kind):
    return REGISTRY.get_sample_value("peerview_share_attack_finds", {"kind": kind})


def test_it_runs_once_a_night_from_its_hour_on(night):
    night.release(40)
    night.release(60)
    assert night.turn() == [], "it is midnight"
    night.clock.now += 2 * HOUR
    assert [run.trials for run in night.turn()] == [1 + 2], "one pair, two figures"
    night.clock.now += 20 * HOUR
    assert len(night.turn()) == 1
    night.clock.now += 4 * HOUR
    assert len(night.turn()) == 2


def test_it_is_not_run_again_by_the_next_leader(night):
    night.clock.now += 3 * HOUR
    night.turn()
    successor = NightlyAttack(night.database, catalogue(), clock=night.clock, hour=2)
    successor.begin()
    successor.turn(night.guard)
    successor.join()
    assert len(night.turn()) == 1
    successor.end()


def test_a_find_is_an_alarm_in_the_log_and_in_the_metrics_until_a_run_finds_nothing(night):
    night.release(40)
    night.forget()
    night.release(43)
    submit(night.database, A, 1, {"bp-htn-u80": patients(40, 100)})
    night.clock.now += 3 * HOUR
    night.turn()
    (alarm,) = [line for line in night.logs if line["log_level"] == "error"]
    assert (alarm["finds"], alarm["kinds"], alarm["alert"]) == (1, {"patients": 1}, True)
    assert "3" not in str({k: v for k, v in alarm.items() if k != "kinds"}), "no count of patients"
    assert finds("patients") == 1
    ended = REGISTRY.get_sample_value("peerview_share_attack_ended_timestamp_seconds")
    assert ended == night.clock.now / 1000
    night.nightly.end()
    assert finds("patients") == 0, "another replica tells it now"
    night.nightly.begin()
    assert finds("patients") == 1
    with night.database.write() as connection:
        connection.execute(schema.cells.delete())
    night.clock.now += 24 * HOUR
    night.turn()
    assert finds("patients") == 0


def test_a_replica_that_lost_its_lease_keeps_nothing(night):
    night.clock.now += 3 * HOUR
    night.lost = True
    assert night.turn() == []
    night.lost = False
    assert night.turn() == [], "tried again only after a while"
    night.clock.now += HOUR
    assert len(night.turn()) == 1


def test_the_last_run_is_read_back(night):
    night.clock.now += 3 * HOUR
    night.turn()
    with night.database.read() as connection:
        ended = attacks.last(connection)
    assert (ended.at, ended.finds) == (night.clock.now, {})


def test_ending_stops_a_run_that_is_under_way(night, monkeypatch):
    """The attack is held at its first cell until the leader has ended it."""
    night.release(40)
    night.clock.now += 3 * HOUR
    reached, ended = threading.Event(), threading.Event()
    alive = night.nightly._alive

    def held():
        reached.set()
        ended.wait(10)
        alive()

    monkeypatch.setattr(night.nightly, "_alive", held)
    night.nightly.turn(night.guard)
    assert reached.wait(10)
    night.nightly._stop.set()
    ended.set()
    night.nightly.end()
    with night.database.read() as connection:
        assert attacks.last(connection) is None
