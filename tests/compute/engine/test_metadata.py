"""A broker that has just started may not know its topics: nobody is assigned nothing for that."""

import asyncio
from typing import Any

from peerview_compute.engine.transport import until_known


class Client:
    """Stands where aiokafka's client does: its metadata know the topics from the n-th time on."""

    def __init__(self, known_after: int) -> None:
        self.asked = 0
        self._known_after = known_after

    @property
    def cluster(self) -> Any:
        return self

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return {0, 1} if self.asked >= self._known_after else None

    async def force_metadata_update(self) -> bool:
        self.asked += 1
        return True


async def test_the_leader_asks_again_until_the_topics_are_known() -> None:
    client = Client(known_after=3)
    await asyncio.wait_for(until_known(client, ["changes", "state"], seconds=60), 30)
    assert client.asked == 3


async def test_what_is_known_is_not_asked_for() -> None:
    client = Client(known_after=0)
    await until_known(client, ["changes"])
    assert client.asked == 0


async def test_a_topic_that_never_comes_does_not_hold_the_group_up_for_ever() -> None:
    client = Client(known_after=1_000_000)
    await asyncio.wait_for(until_known(client, ["changes"], seconds=0.3), 30)
    assert client.asked >= 1
