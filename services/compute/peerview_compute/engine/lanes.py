"""Sending: one lane for each topic and partition, which knows what is acknowledged.

A lane sends one batch at a time and gathers what comes meanwhile, and for a moment more, into the
next: batches grow with the load and nothing waits when there is none. Of several records of one key
that wait, only the newest is sent: states grow like sets and values are absolute, so the newest
holds the others. Tickets say how far a lane is: whoever put something in may wait for, or ask
about, its ticket.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from peerview_common.cloudevents import Headers

FULL_BYTES: Final = 400_000
"""So much waiting is sent at once."""


class Item(NamedTuple):
    """One record to send."""

    key: bytes
    value: bytes | None
    headers: Headers


class Later(NamedTuple):
    """Records to send that are made when the batch is: what is put in meanwhile is in them too."""

    make: Callable[[], Sequence[Item]]
    size: int
    """About how many bytes they are."""


class Producer(Protocol):
    """What is used of aiokafka's producer."""

    def create_batch(self) -> Any: ...

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any: ...


class SendFailed(RuntimeError):
    """A batch was not acknowledged: what it held must be worked off again, by a fresh start."""


class Lane:
    """Never reorders two records of one key; calls ``on_progress`` after every acknowledgement and
    ``on_failure`` once, after which it sends nothing more."""

    def __init__(
        self,
        producer: Callable[[], Producer],
        topic: str,
        partition: int,
        *,
        newest_of_key: bool,
        before_send: Callable[[], None],
        on_progress: Callable[[], None],
        on_failure: Callable[[BaseException], None],
        linger: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """``linger`` says how many seconds lie at least between the starts of two batches, unless
        somebody waits for one or it is full."""
        self.topic = topic
        self.partition = partition
        self.put_in = 0
        """The ticket of the last record put in."""
        self.acknowledged = 0
        """Every record with a ticket up to this one, or a newer one of its key, is in the log."""
        self.waiting_bytes = 0
        self.on_batch: Callable[[int, int], None] | None = None
        """Told the base offset and the number of records of each acknowledged batch."""
        self._producer = producer
        self._newest_of_key = newest_of_key
        self._before_send = before_send
        self._on_progress = on_progress
        self._on_failure = on_failure
        self._linger = linger
        self._sent_at = 0.0
        self._hurry: asyncio.Future[None] | None = None
        self._waiting: dict[Any, tuple[int, int, Item | Later]] = {}
        """By key: the ticket, the size, and what to send."""
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._failed: BaseException | None = None

    def put(self, items: Iterable[Item]) -> int:
        """Hand records over; returns the ticket of the last."""
        for item in items:
            key = item.key if self._newest_of_key else self.put_in + 1
            self._put(key, len(item.value or b""), item)
        return self._begin()

    def put_later(self, key: Any, later: Later) -> int:
        """Hand over what is to be made; of several under one key the last one is."""
        self._put(key, later.size, later)
        return self._begin()

    def _put(self, key: Any, size: int, what: Item | Later) -> None:
        self.put_in = ticket = self.put_in + 1
        old = self._waiting.get(key)
        if old is not None:
            # the record stays in its place, and so keeps the ticket of that place
            ticket = old[0]
            self.waiting_bytes -= old[1]
        self._waiting[key] = (ticket, size, what)
        self.waiting_bytes += size

    def _begin(self) -> int:
        if self._waiting and self._sender is None and self._failed is None:
            self._sender = asyncio.get_running_loop().create_task(self._send())
        return self.put_in

    def waits(self, key: bytes) -> bool:
        """A record of this key waits: another one would take its place, before all put in since."""
        return key in self._waiting

    @property
    def idle(self) -> bool:
        """Everything put in is acknowledged."""
        return self._sender is None and self.acknowledged == self.put_in

    async def reached(self, ticket: int) -> None:
        """Wait until ``ticket`` is acknowledged. Raises SendFailed."""
        if self._failed is not None:
            raise SendFailed(str(self._failed)) from self._failed
        if self.acknowledged >= ticket:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((ticket, waiter))
        self.hurry()
        await waiter

    def hurry(self) -> None:
        """Send what waits without lingering."""
        if self._hurry is not None and not self._hurry.done():
            self._hurry.set_result(None)

    async def _send(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                self._before_send()
                producer = self._producer()
                batch, count = self._fill(producer)
                first = next(iter(self._waiting.values()), None)
                covered = self.put_in if first is None else first[0] - 1
                if count:
                    future = await producer.send_batch(batch, self.topic, partition=self.partition)
                    result = await future
                    if self.on_batch is not None:
                        self.on_batch(result.offset, count)
                self._progress(covered)
        except Exception as error:
            self._fail(error)
        finally:
            self._sender = None

    async def _gather(self) -> None:
        """Each batch costs as much as many records: let a few come together."""
        if self.waiting_bytes < FULL_BYTES and not self._waiters:
            pause = self._sent_at + self._linger() - time.monotonic()
            if pause > 0:
                self._hurry = asyncio.get_running_loop().create_future()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry, pause)
                self._hurry = None
        self._sent_at = time.monotonic()

    def _fill(self, producer: Producer) -> tuple[Any, int]:
        """A batch of what waits, oldest first, as much as it takes."""
        batch = producer.create_batch()
        append = batch.append
        taken = []
        for key, (_, size, what) in self._waiting.items():
            items = what.make() if isinstance(what, Later) else (what,)
            if not all(
                append(timestamp=None, key=item.key, value=item.value, headers=item.headers)
                for item in items
            ):
                # of what was made some may be in: all of it comes again
                break
            taken.append(key)
            self.waiting_bytes -= size
        count = batch.record_count()
        if len(taken) == len(self._waiting):
            self._waiting.clear()
        else:
            for key in taken:
                del self._waiting[key]
        # nobody else may append to a batch whose records we count
        batch.close()
        return batch, count

    def _progress(self, covered: int) -> None:
        self.acknowledged = covered
        while self._waiters and self._waiters[0][0] <= covered:
            waiter = self._waiters.popleft()[1]
            if not waiter.done():
                waiter.set_result(None)
        self._on_progress()

    def _fail(self, error: BaseException) -> None:
        self._failed = error
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(SendFailed(str(error)))
        self._waiters.clear()
        self._on_failure(error)
