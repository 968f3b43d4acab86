"""How much one caller may send: token buckets for requests and for bytes.

A caller is a token's subject together with the practice that it sends for. Requests beyond the
allowance get 429; bytes beyond it are taken more slowly, so that a long stream goes on at the rate
that its caller has. Each process counts for itself.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from peerview_common.settings import IngestSettings
from peerview_ingest import refusals

MAX_CALLERS: Final = 10_000
"""Callers remembered; the one who has sent nothing for longest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Rate:
    """``per_s`` of 0 is no limit."""

    per_s: float
    burst: float


class Bucket:
    """What is left of an allowance that refills; below zero it is owed."""

    __slots__ = ("_at", "_clock", "_level", "rate")

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self.rate = rate
        self._clock = clock
        self._level = rate.burst
        self._at = clock()

    def spend(self, amount: float) -> None:
        self._refill()
        self._level -= amount

    def lacks(self, amount: float) -> float:
        """Seconds until so much can be spent; 0 when it can be now."""
        if self.rate.per_s <= 0:
            return 0.0
        self._refill()
        return max(0.0, (amount - self._level) / self.rate.per_s)

    def _refill(self) -> None:
        now = self._clock()
        self._level = min(self.rate.burst, self._level + (now - self._at) * self.rate.per_s)
        self._at = now


class Allowance:
    """One caller's."""

    __slots__ = ("_bytes", "_requests")

    def __init__(self, requests: Bucket, size: Bucket) -> None:
        self._requests = requests
        self._bytes = size

    def begin(self) -> None:
        """Count a request; Problem 429 when there have been too many, or bytes are still owed."""
        for what, bucket, amount in (("requests", self._requests, 1), ("bytes", self._bytes, 0)):
            wait = bucket.lacks(amount)
            if wait > 0:
                raise refusals.throttled(what, math.ceil(wait))
        self._requests.spend(1)

    async def read(self, size: int) -> None:
        """Count bytes of a body, and wait until they may be taken."""
        self._bytes.spend(size)
        wait = self._bytes.lacks(0)
        if wait > 0:
            await asyncio.sleep(wait)


class Limits:
    """All callers' allowances. ``clock`` gives seconds that only grow."""

    def __init__(
        self, settings: IngestSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._requests = Rate(settings.caller_requests_per_s, settings.caller_requests_burst)
        self._bytes = Rate(settings.caller_bytes_per_s, settings.caller_bytes_burst)
        self._clock = clock
        self._callers: OrderedDict[tuple[str, str], Allowance] = OrderedDict()

    def __len__(self) -> int:
        return len(self._callers)

    def of(self, subject: str, practice: str) -> Allowance:
        key = (subject, practice)
        found = self._callers.get(key)
        if found is None:
            if len(self._callers) >= MAX_CALLERS:
                self._callers.popitem(last=False)
            found = self._callers[key] = Allowance(
                Bucket(self._requests, self._clock), Bucket(self._bytes, self._clock)
            )
        self._callers.move_to_end(key)
        return found
