"""Without a fresh word from the group nothing is sent: others may have the partitions by then.

The model test under faults does not see a missing lease, since whoever has the partitions mends
what a late writer wrote; so the lease is tried here by itself.
"""

import pytest

from peerview_compute.engine import lease as leases
from peerview_compute.engine.lanes import Lane
from peerview_compute.engine.lease import Lease, LeaseLost
from tests.compute.engine.seam import Producer, settle
from tests.compute.engine.test_lanes import item

SESSION_S = 4.0
GAP_S = 60.0


class Clock:
    """Stands where the machine's clock does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 100.0
        monkeypatch.setattr(leases, "now", lambda: self.seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_lease_lasts_as_long_as_a_session(clock: Clock) -> None:
    lease = Lease(SESSION_S, GAP_S)
    clock.seconds += SESSION_S - 0.1
    lease.check()
    lease.renew()
    clock.seconds += SESSION_S - 0.1
    lease.check()
    clock.seconds += 0.2
    with pytest.raises(LeaseLost, match=r"no heartbeat was answered for 4\.1 s"):
        lease.check()


def test_a_worker_that_asks_for_no_records_is_stuck(clock: Clock) -> None:
    lease = Lease(SESSION_S, GAP_S)
    clock.seconds += GAP_S - 1
    lease.check_polled()
    lease.poll()
    clock.seconds += GAP_S - 1
    lease.check_polled()
    clock.seconds += 2
    with pytest.raises(LeaseLost, match="no records were asked for"):
        lease.check_polled()


async def test_a_lane_that_wakes_up_late_sends_nothing_more(clock: Clock) -> None:
    producer, lease, failures = Producer(), Lease(SESSION_S, GAP_S), []
    lane = Lane(
        lambda: producer,
        "topic",
        0,
        newest_of_key=True,
        before_send=lease.check,
        on_progress=lambda: None,
        on_failure=failures.append,
    )
    lane.put([item("a", "1")])
    await settle()
    lane.put([item("a", "2")])
    # the first batch was on its way when the process was frozen
    clock.seconds += SESSION_S + 1
    await producer.acknowledge()
    lane.put([item("a", "3")])
    await settle()
    assert producer.sent == [[(b"a", b"1")]]
    assert [type(error) for error in failures] == [LeaseLost]
