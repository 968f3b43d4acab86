"""Whether this process may still write: it was in the group at its last word with the broker.

A process that was frozen (SIGSTOP, a suspended machine) does not know that others took over. So
nothing is sent unless a heartbeat was answered within the session timeout, on a clock that goes on
while the process or the machine does not.
"""

import time


def now() -> float:
    """Seconds on a clock that also counts suspension of the machine."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LeaseLost(RuntimeError):
    """The group may have given this worker's partitions to others."""


class Lease:
    """Renewed by the consumer's thread, checked before every batch is sent."""

    def __init__(self, session_timeout_s: float, max_poll_gap_s: float) -> None:
        self._session = session_timeout_s
        self._gap = max_poll_gap_s
        self._renewed = now()
        self._polled = now()

    def renew(self) -> None:
        """The group's coordinator has just answered that we are a member."""
        self._renewed = now()

    def poll(self) -> None:
        """Records were asked for."""
        self._polled = now()

    def check(self) -> None:
        """Raises LeaseLost."""
        silence = now() - self._renewed
        if silence > self._session:
            raise LeaseLost(f"no heartbeat was answered for {silence:.1f} s")

    def check_polled(self) -> None:
        """Raises LeaseLost when nothing was polled for too long: the worker is stuck."""
        silence = now() - self._polled
        if silence > self._gap:
            raise LeaseLost(f"no records were asked for during {silence:.0f} s")
