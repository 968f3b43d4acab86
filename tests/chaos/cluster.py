"""A broker and workers that may be hurt, a feed that goes on, and what it must come to."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any, Self, TypeVar

from kafka import KafkaProducer

from peerview_common import changes, topics
from peerview_common.cloudevents import headers
from peerview_compute.model.core import Core
from peerview_tools.jvm_broker import JvmBroker
from tests.chaos.events import Sent, Story
from tests.chaos.gates import Gate, Gates
from tests.chaos.reading import SOON_BACK, Readings
from tests.chaos.times import Times
from tests.compute.engine.world import SNAPSHOT_KEY, Worker
from tests.support.waiting import wait_until

PARTITIONS = 4
SESSION_S = 4
HEARTBEAT_S = 0.5
MOST_WORKERS = 3
MOST_GATES = 8
"""Workers at one time: those that work, that leave, that are frozen, and that are cut off."""
PATIENCE_S = 150.0
PREFIX = "chaos."

T = TypeVar("T")


class GatedWorker(Worker):
    """A worker whose way to the broker can be shut."""

    def __init__(self, gate: Gate, folder: Path) -> None:
        self.gate = gate
        super().__init__(
            gate.address,
            PREFIX,
            PARTITIONS,
            folder,
            PEERVIEW_SESSION_TIMEOUT_S=str(SESSION_S),
            PEERVIEW_HEARTBEAT_S=str(HEARTBEAT_S),
        )

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def partitions(self) -> list[int]:
        """What it had when it last said so."""
        said = self.said("recovered")
        return said[-1]["partitions"] if said else []


class Cluster:
    """Whoever waits here also restarts what ended by itself, as a supervisor would."""

    def __init__(self, core: Core, seed: int, folder: Path) -> None:
        self.times = Times()
        self.seed = seed
        self._folder = folder
        self.said: list[str] = []
        self.workers: list[GatedWorker] = []
        self.leaving: list[GatedWorker] = []
        self.away: list[GatedWorker] = []
        """Those of the workers that are frozen or cut off."""
        self._all: list[GatedWorker] = []
        self.broker_up = True
        self.ended = 0
        self.story = Story(Random(f"story {seed}"), PARTITIONS)
        self.gates = Gates(MOST_GATES)
        self.broker = JvmBroker(
            heap="384m",
            say=self.note,
            port=self.gates.broker_port,
            properties=self.gates.broker_properties,
        )
        topics.provision(self.broker.bootstrap, prefix=PREFIX, partitions=PARTITIONS)
        self.readings = Readings(self.broker.bootstrap, PREFIX, PARTITIONS, core, SNAPSHOT_KEY)
        self._producer = KafkaProducer(
            bootstrap_servers=self.broker.bootstrap,
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            **SOON_BACK,
        )
        self._sending: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._all:
            worker.kill()
        with contextlib.suppress(Exception):
            self._producer.close(1)
        self.readings.close()
        self.gates.close()
        self.broker.stop()

    def note(self, text: str) -> None:
        """For the report of a failure, and for whoever watches."""
        line = f"{self.times.passed:6.1f} s  {text}"
        self.said.append(line)
        with (self._folder / "story.log").open("a") as file:
            file.write(f"{line}\n")

    # -- the feed

    def send(self, events: Iterable[Sent]) -> None:
        """Hand over; what the broker cannot take now it takes later."""
        topic = topics.topic_name(PREFIX, topics.CHANGES)
        for partition, event in events:
            self._sending.append(
                self._producer.send(
                    topic,
                    key=getattr(event, "practice", "!").encode(),
                    value=changes.encode(event),
                    partition=partition,
                    headers=headers(changes.event_type(event), "test"),
                )
            )

    def flush(self) -> None:
        """Everything is in the log."""
        self.until(lambda: all(future.is_done for future in self._sending), "the feed is sent")
        for future in self._sending:
            future.get(1)
        self._sending.clear()

    # -- waiting

    def until(
        self,
        met: Callable[[], T],
        what: str,
        *,
        pause: float = 0.05,
        last: Callable[[], object] | None = None,
    ) -> T:
        """Ask until the answer is true, and supervise meanwhile."""
        with self.times.phase(what):
            return wait_until(
                met, what, PATIENCE_S, pause=pause, last=last, meanwhile=self.supervise
            )

    def until_right(self, wrong: Callable[[], list[str]], what: str) -> None:
        """Read on until nothing is wrong."""
        found = ["nothing was read"]

        def right() -> bool:
            nonlocal found
            if self.readings.read():
                found = wrong()
            return not found

        self.until(right, what, last=lambda: "\n".join(found))

    def until_past(self, moment: float, what: str) -> None:
        """What is waited for by the clock: how long something is frozen or held, no more."""
        self.until(lambda: time.monotonic() >= moment, what)

    def supervise(self) -> None:
        for worker in list(self.leaving):
            code = worker.process.poll()
            if code is not None:
                self.leaving.remove(worker)
                self.note(f"worker {worker.pid} left with {code}")
                # before it listens a signal ends it as it ends any process
                assert code in (0, 1) or not worker.said("listening"), worker.lines[-10:]
        for worker in list(self.workers):
            code = worker.process.poll()
            if code is not None:
                why = [line.get("reason") or line.get("error") for line in worker.lines[-10:]]
                reasons = [text for text in why if text]
                self.note(f"worker {worker.pid} ended by itself with {code}: {reasons}")
                assert code == 1, worker.lines[-10:]
                self.ended += 1
                self.forget(worker)
                if self.broker_up:
                    self.start()

    # -- workers

    def start(self) -> GatedWorker:
        worker = GatedWorker(self._free_gate(), self._folder)
        self.workers.append(worker)
        self._all.append(worker)
        self.note(f"worker {worker.pid} started")
        return worker

    def _free_gate(self) -> Gate:
        taken = {worker.gate for worker in self._all if not worker.ended}
        free = [gate for gate in self.gates.gates if gate not in taken and gate.is_open]
        assert free, "every gate has its worker"
        # the one that was used the longest time ago, or never
        return min(free, key=lambda gate: max(
            (n for n, worker in enumerate(self._all) if worker.gate is gate), default=-1
        ))  # fmt: skip

    def forget(self, worker: GatedWorker) -> None:
        """It does not count as one of ours any more."""
        for those in (self.workers, self.away):
            with contextlib.suppress(ValueError):
                those.remove(worker)

    def kill(self, worker: GatedWorker) -> None:
        """It dies, and another one is started."""
        worker.kill()
        self.forget(worker)
        self.note(f"worker {worker.pid} killed")
        self.start()

    def kill_all(self) -> None:
        """Nobody is left."""
        for worker in [*self.workers, *self.leaving]:
            worker.kill()
        for those in (self.workers, self.leaving, self.away):
            those.clear()

    def count(self, event: str) -> int:
        """How often workers said something."""
        return sum(len(worker.said(event)) for worker in self._all)

    # -- judgement

    def check_commits(self) -> None:
        """At this moment no commit is ahead of what is in the log."""
        with self.times.phase("no commit ahead"):
            ahead = self.readings.ahead()
        assert not ahead, "\n".join(ahead[:20])

    def check(self) -> None:
        """Everything that the log led to is what the model says; and stays so."""
        readings = self.readings
        self.flush()
        self.until_right(readings.wrong_values, "check: values")
        # one more record each: a late writer's records are looked for behind our own
        self.send(self.story.heartbeats())
        self.flush()
        self.until_right(readings.wrong_values, "check: values after heartbeats")
        self.until_right(readings.wrong_states, "check: states")
        self.until_right(readings.uncommitted, "check: commits")
        wrong = [*readings.wrong_snapshots(), *readings.wrong_letters(), *readings.wrong_values()]
        assert not wrong, "\n".join(wrong)
        self.check_commits()
        self.note(f"checked after {readings.model.records} records")

    def report(self, faults: int) -> str:
        readings = self.readings
        return (
            f"chaos: seed {self.seed}, {faults} faults, {readings.model.records} records, "
            f"{len(readings.model.snapshots)} snapshots in {readings.attempts} attempts, "
            f"{self.ended} workers ended by themselves, "
            f"{self.count('records of another worker joined')} times a late writer's records "
            f"joined, {self.count('records missing: reading them again')} times lost records were "
            f"read again, {self.times.passed:.0f} s: all as the model says"
        )

    def dump(self) -> None:
        """What the workers said and where they are, one file each, for whoever looks for the
        reason."""
        for worker in self.workers:
            if not worker.ended and worker not in self.away:
                worker.process.send_signal(signal.SIGUSR1)
                with contextlib.suppress(AssertionError):
                    wait_until(lambda w=worker: w.said("tasks told"), "its tasks", 5)
        for worker in self._all:
            path = self._folder / f"worker-{worker.pid}.log"
            path.write_text("\n".join(str(line) for line in worker.lines))
        (self._folder / "times.log").write_text(f"{self.times}\n")
