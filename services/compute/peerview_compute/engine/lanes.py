"""Sending: one lane for each topic and partition, which knows what is acknowledged.

A lane sends one batch at a time and gathers what comes meanwhile into the next, so that batches
grow with the load and nothing waits when there is none. Of several records of one key that wait,
only the newest is sent: states grow like sets and values are absolute, so the newest holds the
others. Tickets say how far a lane is: whoever put something in may wait for, or ask about, its
ticket.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from peerview_common.cloudevents import Headers


class Item(NamedTuple):
    """One record to send."""

    key: bytes
    value: bytes | None
    headers: Headers


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
    ) -> None:
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
        self._waiting: dict[Any, tuple[int, Item]] = {}
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._failed: BaseException | None = None

    def put(self, items: Iterable[Item]) -> int:
        """Hand records over; returns the ticket of the last."""
        waiting = self._waiting
        for item in items:
            self.put_in += 1
            key = item.key if self._newest_of_key else self.put_in
            old = waiting.get(key)
            ticket = self.put_in
            if old is not None:
                # the record stays in its place, and so keeps the ticket of that place
                ticket = old[0]
                self.waiting_bytes -= len(old[1].value or b"")
            waiting[key] = (ticket, item)
            self.waiting_bytes += len(item.value or b"")
        if waiting and self._sender is None and self._failed is None:
            self._sender = asyncio.get_running_loop().create_task(self._send())
        return self.put_in

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
        await waiter

    async def _send(self) -> None:
        try:
            while self._waiting:
                self._before_send()
                producer = self._producer()
                batch, count = self._fill(producer)
                first = next(iter(self._waiting.values()), None)
                covered = self.put_in if first is None else first[0] - 1
                future = await producer.send_batch(batch, self.topic, partition=self.partition)
                result = await future
                if self.on_batch is not None:
                    self.on_batch(result.offset, count)
                self._progress(covered)
        except Exception as error:
            self._fail(error)
        finally:
            self._sender = None

    def _fill(self, producer: Producer) -> tuple[Any, int]:
        """A batch of what waits, oldest first, as much as it takes."""
        batch = producer.create_batch()
        taken = []
        for key, (_, item) in self._waiting.items():
            added = batch.append(
                timestamp=None, key=item.key, value=item.value, headers=item.headers
            )
            if added is None:
                break
            taken.append(key)
            self.waiting_bytes -= len(item.value or b"")
        if len(taken) == len(self._waiting):
            self._waiting.clear()
        else:
            for key in taken:
                del self._waiting[key]
        # nobody else may append to a batch whose records we count
        batch.close()
        return batch, len(taken)

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
