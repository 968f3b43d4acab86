"""A partition's processor without a broker: its lanes send to producers that the test leads."""

import asyncio
from dataclasses import dataclass, field
from itertools import count

from peerview_common import changes
from peerview_common.changes import ChangeSet, Control
from peerview_common.cloudevents import headers
from peerview_compute.engine.lanes import Lane
from peerview_compute.engine.partition import Partition
from peerview_compute.engine.processor import Event, Failures, Lanes, Limits, Processor
from peerview_compute.engine.states import PartitionStates
from tests.compute.engine.seam import Producer, settle
from tests.compute.engine.world import CORE, SNAPSHOT_KEY

LANES = ("states", "values", "snapshots", "dead_letters")


@dataclass
class Message:
    offset: int
    value: bytes
    headers: list[tuple[str, bytes]]
    key: bytes | None = b"A99001"
    partition: int = 0

    @classmethod
    def of(cls, offset: int, event: ChangeSet | Control | None) -> "Message":
        """None makes a record that nobody can read."""
        if event is None:
            return cls(offset, b"\x80", headers("peerview.unheard.of", "test"))
        made = headers(changes.event_type(event), "test")
        return cls(offset, changes.encode(event), made)


@dataclass
class Record:
    message: Message
    acked: bool = False

    def ack(self) -> bool:
        self.acked = True
        return True


@dataclass
class Bench:
    """One processor, and a producer for each lane which acknowledges when told to."""

    room: int = 20
    """Records in a batch of states; a practice's values must fit into one of the others."""
    failed: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.producers = {name: Producer(self.room if name == "states" else 20) for name in LANES}
        attempts = count(1)
        self.processor = Processor(
            Partition(PartitionStates(0, CORE), CORE),
            0,
            Lanes(**{name: self._lane(name) for name in LANES}),
            Limits(1.0, SNAPSHOT_KEY, lambda: f"attempt-{next(attempts)}"),
            Failures(1000),
            may_go_on=lambda: True,
            discard=self._discard,
            wake_ticker=lambda: None,
        )
        self._running = asyncio.get_running_loop().create_task(self.processor.run())

    def _lane(self, name: str) -> Lane:
        return Lane(
            lambda: self.producers[name],
            name,
            0,
            newest_of_key=name in ("states", "values"),
            before_send=lambda: None,
            on_progress=lambda: self.processor.settle(),
            on_failure=self.failed.append,
        )

    def _discard(self, event: Event) -> None:
        raise AssertionError(f"discarded: {event}")

    async def settle(self) -> None:
        """Let everybody go on who can; raises what went wrong."""
        await settle()
        assert not self.failed
        if self._running.done():
            self._running.result()

    async def go_on(self, *, without: str) -> None:
        """Until only one lane has something to be acknowledged."""
        while True:
            await self.settle()
            waiting = [p for name, p in self.producers.items() if p.waits and name != without]
            for producer in waiting:
                await producer.acknowledge()
            if not waiting and not self.tick():
                return

    async def close(self) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])

    def tick(self) -> bool:
        """A slice of a tick; False when there was none."""
        if self.processor.partition.settled:
            return False
        self.processor.work()
        return True
