"""``patient.state`` as a Faust table: written in batches past Faust, recovered by joining.

Faust decides which partitions this worker has; what is read of their changelog, and how, is ours
(see ``states`` and ``tail``). Faust's own store stays empty.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import faust
from faust.tables.recovery import Recovery
from faust.types import TP

from peerview_compute.engine.states import PartitionStates
from peerview_compute.engine.transport import FAUST_LOG

Recovered = Callable[[set[int]], Awaitable[None]]


class NoRecovery(Recovery):
    """Faust reads no changelog: those of our own partitions are read by ``Changelog``, ten times as
    fast, before the table says that recovery is complete; those of standbys by ``Follower``."""

    logger = FAUST_LOG

    def add_standby(self, table: Any, tp: TP) -> None:
        pass

    async def _build_offsets(self, consumer: Any, tps: Any, destination: Any, title: str) -> None:
        # one by one: it is a Counter, whose update adds
        for tp in tps:
            destination[tp] = self.active_highwaters[tp]


class StateTable(faust.Table):
    """Calls ``on_recovered`` with the partitions that are this worker's, before any of their
    records is read, and ``on_fatal`` where Faust would only log."""

    logger = FAUST_LOG

    def ours(
        self,
        new_states: Callable[[int], PartitionStates],
        on_lost: Callable[[set[int]], None],
        on_recovered: Recovered,
        on_fatal: Callable[[BaseException], None],
    ) -> "StateTable":
        self.states: dict[int, PartitionStates] = {}
        self.read_to: dict[int, int] = {}
        """By partition, the offset before which ``states`` holds every record."""
        self._new_states = new_states
        self._on_lost = on_lost
        self._on_recovered = on_recovered
        self._on_fatal = on_fatal
        return self

    def hold(self, partition: int) -> PartitionStates:
        """The states of a partition that is ours, or that we follow."""
        held = self.states.get(partition)
        if held is None:
            held = self.states[partition] = self._new_states(partition)
        return held

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        name = self.changelog_topic_name
        kept = {tp.partition for tp in assigned | self.standbys() if tp.topic == name}
        lost = self.states.keys() - kept
        self._on_lost(set(lost))
        for partition in lost:
            self.states.pop(partition).close()
            self.read_to.pop(partition, None)

    def standbys(self) -> set[TP]:
        """What Faust's assignor has this worker follow."""
        return set(self.app.assignor.assigned_standbys())

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Faust drops whatever this raises."""
        try:
            await super().on_recovery_completed(active_tps, standby_tps)
            partitions = {tp.partition for tp in active_tps}
            for partition in partitions:
                self.hold(partition)
            await self._on_recovered(partitions)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._on_fatal(error)


def state_topic(app: Any, name: str, partitions: int) -> Any:
    """The changelog, under its own name; never created or declared by Faust."""
    return app.topic(
        name,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        partitions=partitions,
        compacting=True,
        acks=False,
        internal=True,
        allow_empty=True,
    )
