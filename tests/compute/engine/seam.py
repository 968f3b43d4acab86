"""What stands where aiokafka's producer does: acknowledges when told to."""

import asyncio
from types import SimpleNamespace
from typing import Any


class Batch:
    """Takes ``room`` records."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.records: list[tuple[bytes, bytes]] = []

    def append(self, *, timestamp: None, key: bytes, value: bytes, headers: Any) -> object:
        if len(self.records) == self.room:
            return None
        self.records.append((key, value))
        return object()

    def record_count(self) -> int:
        return len(self.records)

    def close(self) -> None:
        pass


class Producer:
    """Of one lane, which has one batch on its way at a time."""

    def __init__(self, room: int = 100) -> None:
        self.room = room
        self.sent: list[list[tuple[bytes, bytes]]] = []
        self.futures: list[asyncio.Future[Any]] = []
        self.offset = 0

    def create_batch(self) -> Batch:
        return Batch(self.room)

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Any:
        self.sent.append(batch.records)
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]

    @property
    def waits(self) -> bool:
        """A batch is not acknowledged yet."""
        return bool(self.futures) and not self.futures[-1].done()

    async def acknowledge(self) -> None:
        count = len(self.sent[-1])
        self.futures[-1].set_result(SimpleNamespace(offset=self.offset))
        self.offset += count
        await settle()


async def settle() -> None:
    """Let everybody go on who can."""
    for _ in range(5):
        await asyncio.sleep(0)
