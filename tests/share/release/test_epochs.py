"""Epochs on both databases: the gate over real history, retention, and who may lead."""

import pytest

from peerview_common.catalogue import catalogue
from peerview_share.disclosure.cell import CellState
from peerview_share.release.epochs import EpochRunningError, Epochs
from peerview_share.store import epochs as store
from peerview_share.store import kept
from peerview_share.store.leases import Lease, LostLeaseError
from tests.share.support import Clock, patients, submit

A = "A99001"


class Leading:
    def __init__(self, database, **given):
        self.database = database
        self.clock = Clock()
        settings = {"deadline_s": 60, "lag_days": 0, "snapshot_months": 36} | given
        self.epochs = Epochs(database, catalogue(), clock=self.clock, **settings)

    def release(self, day, numerator, practice=A):
        epoch = self.epochs.open(day)
        self.epochs.mark_sent(epoch)
        if numerator is not None:
            cells = {"bp-htn-u80": patients(numerator, 100)}
            submit(self.database, practice, epoch.number, cells, now=self.clock.now)
        self.close()
        self.epochs.publish_if_due(self.epochs.current(), lambda connection: None)
        self.epochs.tidy(lambda: None, lambda connection: None)
        with self.database.read() as connection:
            return store.cells(connection, epoch.number)[practice]["bp-htn-u80"]

    def close(self, **given):
        hooks = {"alive": lambda: None, "guard": lambda connection: None} | given
        self.epochs.close(self.epochs.current(), frozenset({A}), **hooks)

    def kept(self):
        with self.database.read() as connection:
            return [n for n in range(1, 20) if store.snapshot(connection, A, n) is not None]


@pytest.fixture
def leading(database):
    return Leading(database)


def test_a_cell_moves_only_against_every_earlier_release(leading):
    assert leading.release(20_000, 40).state is CellState.VALUE
    assert leading.release(20_030, 60).figure.numerator == 60
    reverted = leading.release(20_060, 43)
    assert (reverted.state, reverted.figure.numerator) == (CellState.CARRIED_FORWARD, 60)
    assert reverted.epoch == 2
    assert leading.release(20_090, 75).figure.numerator == 75
    assert leading.kept() == [1, 2, 4], "what was not released is not kept"


def test_a_late_practice_keeps_its_earlier_release(leading):
    assert leading.release(20_000, None).state is CellState.NOT_SUBMITTED
    leading.release(20_030, 40)
    late = leading.release(20_060, None)
    assert (late.state, late.epoch) == (CellState.CARRIED_FORWARD, 2)


def test_snapshots_are_forgotten_after_36_months_but_not_what_is_shown(leading):
    leading.release(20_000, 40)
    leading.release(20_030, 60)
    assert leading.kept() == [1, 2]
    leading.release(20_000 + 37 * 31, 63)
    assert leading.kept() == [2], "still shown, so still compared with"
    assert leading.release(20_000 + 38 * 31, 80).state is CellState.VALUE
    assert leading.kept() == [4]


def test_one_epoch_at_a_time(leading):
    leading.epochs.open(20_000)
    with pytest.raises(EpochRunningError):
        leading.epochs.open(20_000)


def test_an_epoch_closes_when_all_are_in_or_at_its_deadline(leading):
    epoch = leading.epochs.open(20_000)
    assert not leading.epochs.ready_to_close(epoch, frozenset({A})), "not sent yet"
    leading.epochs.mark_sent(epoch)
    epoch = leading.epochs.current()
    assert not leading.epochs.ready_to_close(epoch, frozenset({A}))
    submit(leading.database, A, epoch.number, {"dna": patients(20, 400)})
    assert leading.epochs.ready_to_close(epoch, frozenset({A}))
    assert not leading.epochs.ready_to_close(epoch, frozenset({A, "A99002"}))
    leading.clock.now += 60_000
    assert leading.epochs.ready_to_close(epoch, frozenset({A, "A99002"}))


def test_who_no_longer_leads_writes_nothing(leading):
    epoch = leading.epochs.open(20_000)
    leading.epochs.mark_sent(epoch)
    submit(leading.database, A, epoch.number, {"bp-htn-u80": patients(40, 100)})
    one, two = (
        Lease(leading.database, "leader", name, clock=leading.clock, term_ms=10_000)
        for name in ("one", "two")
    )
    assert one.hold()
    assert not two.hold()
    leading.clock.now += 10_001
    assert two.hold()
    with pytest.raises(LostLeaseError):
        leading.close(guard=one.guard)
    assert leading.epochs.current().closed_at is None
    leading.close(guard=two.guard)
    assert leading.epochs.current().closed_at is not None
    two.release()
    assert one.hold()


def test_without_a_snapshot_that_was_released_nothing_moves(leading):
    """Comparing with less than everything would be a leak, so it stops instead."""
    leading.release(20_000, 40)
    with leading.database.write() as connection:
        kept.keep(connection, A, {}, upto=9)
    epoch = leading.epochs.open(20_030)
    leading.epochs.mark_sent(epoch)
    submit(leading.database, A, epoch.number, {"bp-htn-u80": patients(60, 100)})
    with pytest.raises(LookupError, match="missing"):
        leading.close()
