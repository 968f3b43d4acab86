"""A broker and workers that may be hurt, a feed that goes on, and a schedule of faults."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Self

from kafka import KafkaProducer

from peerview_common import changes, topics
from peerview_common.cloudevents import headers
from peerview_compute.model.core import Core
from peerview_tools.jvm_broker import JvmBroker
from tests.chaos.events import Sent, Story
from tests.chaos.model import Model
from tests.chaos.reading import Readings
from tests.compute.engine.world import SNAPSHOT_KEY, Worker

PARTITIONS = 4
SESSION_S = 6
FREEZE_S = SESSION_S * 2.0
BROKER_FREEZE_S = SESSION_S * 1.3
MOST_WORKERS = 3
PATIENCE_S = 150.0
TRIGGER_S = 4.0
"""A fault comes at the latest so long after its burst, whatever was worked off by then."""
MOST_FLOODS = 40
"""Bulky change sets before a fault that comes at a commit."""
PREFIX = "chaos."

_DECK = (
    "kill", "kill", "kill", "freeze", "freeze", "join", "leave",
    "broker-restart", "broker-kill", "broker-freeze",
)  # fmt: skip


@dataclass(frozen=True)
class Fault:
    kind: str
    burst: int
    """Events sent before it."""
    progress: int
    """Records of ``patient.state`` after which it comes, unless it comes ``at_commit``."""
    at_commit: bool
    """Just after offsets were committed: whoever owns the partition dies with work under way."""
    cut: bool
    """A release cut within the burst."""
    choice: float
    """Which of the workers, from 0 to 1."""
    inner: str
    """What else happens while a worker is frozen."""
    check: bool


def schedule(random: Random, faults: int) -> list[Fault]:
    deck: list[str] = []
    found = []
    for _ in range(faults):
        if not deck:
            deck = list(_DECK)
            random.shuffle(deck)
        found.append(
            Fault(
                deck.pop(),
                random.randint(15, 60),
                random.randrange(80),
                random.random() < 0.6,
                random.random() < 0.6,
                random.random(),
                random.choice(("", "", "kill", "join", "broker-restart")),
                random.random() < 0.3,
            )
        )
    return found


class Report(NamedTuple):
    """How a run went, for the closing line."""

    seed: int
    faults: int
    records: int
    snapshots: int
    attempts: int
    ended: int
    joined: int
    mended: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"chaos: seed {self.seed}, {self.faults} faults, {self.records} records, "
            f"{self.snapshots} snapshots in {self.attempts} attempts, {self.ended} workers ended "
            f"by themselves, {self.joined} times a late writer's records joined, {self.mended} "
            f"times lost records were read again, {self.seconds:.0f} s: all as the model says"
        )


class Cluster:
    """Whoever waits here also restarts what ended by itself, as a supervisor would."""

    def __init__(self, core: Core, seed: int, folder: Path) -> None:
        self.began = time.monotonic()
        self.seed = seed
        self._folder = folder
        self.said: list[str] = []
        self.workers: list[Worker] = []
        self._leaving: list[Worker] = []
        self._frozen: list[Worker] = []
        self._all: list[Worker] = []
        self._broker_up = True
        self.ended = 0
        self.faults = 0
        self.story = Story(Random(f"story {seed}"), PARTITIONS)
        self.broker = JvmBroker(heap="384m", say=self.note)
        topics.provision(self.broker.bootstrap, prefix=PREFIX, partitions=PARTITIONS)
        self.model = Model(core, SNAPSHOT_KEY, PARTITIONS)
        self.readings = Readings(self.broker.bootstrap, PREFIX, PARTITIONS, core, self.model)
        self._producer = KafkaProducer(
            bootstrap_servers=self.broker.bootstrap,
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
        )
        self._sending: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._all:
            if worker.process.poll() is None:
                worker.signal(signal.SIGCONT)
            worker.kill()
        with contextlib.suppress(Exception):
            self._producer.close(1)
        self.readings.close()
        self.broker.stop()

    def note(self, text: str) -> None:
        """For the report of a failure, and for whoever watches."""
        line = f"{time.monotonic() - self.began:6.1f} s  {text}"
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
        met: Callable[[], Any],
        what: str,
        seconds: float = PATIENCE_S,
        *,
        pause: float = 0.05,
    ) -> Any:
        """Ask until the answer is true, and supervise meanwhile."""
        end = time.monotonic() + seconds
        while True:
            self.supervise()
            found = met()
            if found:
                return found
            assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
            time.sleep(pause)

    def until_right(self, wrong: Callable[[], list[str]], what: str) -> None:
        """Read on until nothing is wrong."""
        found = ["nothing was read"]

        def right() -> bool:
            nonlocal found
            if self.readings.read():
                found = wrong()
            return not found

        try:
            self.until(right, what)
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *found])) from None

    def supervise(self) -> None:
        for worker in list(self._leaving):
            code = worker.process.poll()
            if code is not None:
                self._leaving.remove(worker)
                self.note(f"worker {worker.process.pid} left with {code}")
                # before it listens a signal ends it as it ends any process
                assert code in (0, 1) or not worker.said("listening"), worker.lines[-10:]
        for worker in list(self.workers):
            code = worker.process.poll()
            if code is not None:
                why = [line.get("reason") or line.get("error") for line in worker.lines[-10:]]
                reasons = [text for text in why if text]
                self.note(f"worker {worker.process.pid} ended by itself with {code}: {reasons}")
                assert code == 1, worker.lines[-10:]
                self.ended += 1
                self.workers.remove(worker)
                with contextlib.suppress(ValueError):
                    self._frozen.remove(worker)
                if self._broker_up:
                    self.start()

    # -- workers

    def start(self) -> Worker:
        worker = Worker(
            self.broker.bootstrap,
            PREFIX,
            PARTITIONS,
            self._folder,
            PEERVIEW_SESSION_TIMEOUT_S=str(SESSION_S),
            PEERVIEW_HEARTBEAT_S="1",
        )
        self.workers.append(worker)
        self._all.append(worker)
        self.note(f"worker {worker.process.pid} started")
        return worker

    def count(self, event: str) -> int:
        """How often workers said something."""
        return sum(len(worker.said(event)) for worker in self._all)

    def _one(self, choice: float) -> Worker | None:
        """A worker that runs, if there is one; if it can be, one that has partitions."""
        there = [w for w in self.workers if w not in self._frozen and w.process.poll() is None]
        owners = [w for w in there if w.said("recovered") and w.said("recovered")[-1]["partitions"]]
        there = owners or there
        return there[int(choice * len(there))] if there else None

    def kill(self, choice: float) -> None:
        worker = self._one(choice)
        if worker is None:
            return
        worker.kill()
        self._replace(worker)

    def _replace(self, worker: Worker) -> None:
        """After it was killed."""
        if worker in self.workers:
            self.workers.remove(worker)
        self.note(f"worker {worker.process.pid} killed")
        self.start()

    def _owner(self, partition: int) -> Worker | None:
        """Who has a partition, as far as they said."""
        for worker in self.workers:
            said = worker.said("recovered")
            if said and partition in said[-1]["partitions"] and worker not in self._frozen:
                return worker
        return None

    def kill_all(self) -> None:
        """Nobody is left."""
        for worker in [*self.workers, *self._leaving]:
            worker.kill()
        self.workers.clear()
        self._leaving.clear()
        self._frozen.clear()

    # -- faults

    def strike(self, fault: Fault) -> None:
        """Send a burst, and let the fault happen in the middle of the work on it."""
        start = self._written()
        self.send(self.story.burst(fault.burst // 2))
        if fault.cut:
            self.send(self.story.cut())
        self.send(self.story.burst(fault.burst - fault.burst // 2))
        self._under_way(start + fault.progress)
        self.note(f"fault {self.faults}: {fault}")
        if fault.kind == "kill" and fault.at_commit:
            self._kill_at_commit(fault)
        else:
            self._happen(fault.kind, fault)
        self.faults += 1

    def _written(self) -> int:
        """How long ``patient.state`` is."""
        return self.readings.ends(topics.STATE) or 0

    def _under_way(self, written: int) -> None:
        """Wait until so much is written, or for long enough: what comes now comes in the middle."""
        end = time.monotonic() + TRIGGER_S
        self.until(
            lambda: self._written() >= written or time.monotonic() > end,
            "the moment of the fault",
            pause=0.005,
        )

    def _kill_at_commit(self, fault: Fault) -> None:
        """As soon as more is committed, with more to be done all the time."""
        partition = int(fault.choice * PARTITIONS)
        owner = self._owner(partition)
        if owner is None:
            return self.kill(fault.choice)
        committed = self.readings.committed(partition)
        end = time.monotonic() + TRIGGER_S
        floods = 0

        def moved() -> bool:
            nonlocal floods
            if self.readings.committed(partition) != committed or time.monotonic() > end:
                owner.kill()
                return True
            if floods < MOST_FLOODS:
                floods += 1
                self.send(self.story.flood(partition))
            return False

        self.until(moved, "a commit", pause=0.005)
        return self._replace(owner)

    def _happen(self, kind: str, fault: Fault) -> None:
        match kind:
            case "kill":
                self.kill(fault.choice)
            case "freeze":
                self._freeze(fault)
            case "join" | "leave":
                self._join_or_leave(kind, fault.choice)
            case "broker-restart":
                self._without_broker(self.broker.restart)
            case "broker-kill":
                self.broker.kill9()
                self._without_broker(self.broker.start)
            case "broker-freeze":
                self.broker.suspend()
                self._pass(BROKER_FREEZE_S)
                self.broker.resume()

    def _without_broker(self, bring_back: Callable[[], None]) -> None:
        self._broker_up = False
        try:
            bring_back()
        finally:
            self._broker_up = True
        for _ in range(2 - len(self.workers)):
            self.start()

    def _join_or_leave(self, kind: str, choice: float) -> None:
        room = len(self.workers) < MOST_WORKERS
        worker = self._one(choice)
        if len(self.workers) > 1 and worker is not None and (kind == "leave" or not room):
            worker.signal(signal.SIGTERM)
            self.workers.remove(worker)
            self._leaving.append(worker)
            self.note(f"worker {worker.process.pid} asked to leave")
        elif room:
            self.start()

    def _pass(self, seconds: float) -> None:
        """The one thing that is waited for by the clock: how long something is frozen."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end, "time")

    def _freeze(self, fault: Fault) -> None:
        """A worker does not know that the others took over; nothing that it may still send when it
        wakes up may win, though nobody says anything after it."""
        if len(self.workers) < 2:
            self.start()
        worker = self._one(fault.choice)
        if worker is None:
            return
        recovered = worker.said("recovered")
        if recovered:
            written = self._written()
            for partition in recovered[-1]["partitions"] * 2:
                self.send(self.story.flood(partition))
            self._under_way(written + fault.progress)
        until = time.monotonic() + FREEZE_S
        worker.signal(signal.SIGSTOP)
        self._frozen.append(worker)
        self.note(f"worker {worker.process.pid} frozen")
        self.send(self.story.burst(fault.burst))
        if fault.inner:
            self.note(f"and meanwhile: {fault.inner}")
            self._happen(fault.inner, fault)
        if fault.cut:
            self.send(self.story.cut())
        self.flush()
        self.until_right(self.readings.wrong_values, "values, while a worker is frozen")
        self._pass(max(0.0, until - time.monotonic()))
        if worker.process.poll() is None:
            worker.signal(signal.SIGCONT)
        self.note(f"worker {worker.process.pid} wakes up")
        with contextlib.suppress(ValueError):
            self._frozen.remove(worker)
        self.until(
            lambda: (
                worker.process.poll() is not None or len(worker.said("recovered")) > len(recovered)
            ),
            "the frozen worker ends or joins again",
        )
        self.until_right(self.readings.wrong_values, "values, after a worker woke up")

    # -- judgement

    def check(self) -> None:
        """Everything that the log led to is what the model says; and stays so."""
        readings = self.readings
        self.flush()
        self.until_right(readings.wrong_values, "values")
        # one more record each: a late writer's records are looked for behind our own
        self.send(self.story.heartbeats())
        self.flush()
        self.until_right(readings.wrong_values, "values, after a heartbeat of every practice")
        self.until_right(readings.wrong_states, "states")
        self.until_right(readings.uncommitted, "commits")
        wrong = [*readings.wrong_snapshots(), *readings.wrong_letters(), *readings.wrong_values()]
        assert not wrong, "\n".join(wrong)
        self.note(f"checked after {self.model.records} records")

    def report(self) -> Report:
        return Report(
            self.seed,
            self.faults,
            self.model.records,
            len(self.model.snapshots),
            self.readings.attempts,
            self.ended,
            self.count("records of another worker joined"),
            self.count("records missing: reading them again"),
            time.monotonic() - self.began,
        )

    def dump(self) -> None:
        """What the workers said, one file each, for whoever looks for the reason."""
        for worker in self._all:
            path = self._folder / f"worker-{worker.process.pid}.log"
            path.write_text("\n".join(str(line) for line in worker.lines))
