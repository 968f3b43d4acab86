"""How each fault happens, in the middle of the work on a burst of events."""

import signal
import time
from collections.abc import Callable

from peerview_common import topics
from tests.chaos.cluster import HEARTBEAT_S, MOST_WORKERS, SESSION_S, Cluster, GatedWorker
from tests.chaos.schedule import Fault

FREEZE_S = SESSION_S * 2.0
BROKER_FREEZE_S = SESSION_S * 1.3
SLOWNESS_S = 0.25
"""How long records take to arrive before a commit that is waited for."""
TRIGGER_S = 10.0
"""A fault comes at the latest so long after its burst, whatever was worked off by then."""
FLOOD_S = 0.1
"""Between bulky change sets while records are held."""
MOST_FLOODS = 30


class Striker:
    """Sends, and hurts."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.struck = 0

    def strike(self, fault: Fault) -> None:
        """Send a burst, and let the fault happen in the middle of the work on it."""
        cluster = self._cluster
        cluster.note(f"fault {self.struck}: {fault}")
        start = self._written()
        cluster.send(cluster.story.burst(fault.burst // 2))
        if fault.cut:
            cluster.send(cluster.story.cut())
        cluster.send(cluster.story.burst(fault.burst - fault.burst // 2))
        if fault.progress:
            self._under_way(start + min(fault.progress, fault.burst))
        with cluster.times.phase(f"fault: {fault.kind}"):
            self._happen(fault.kind, fault)
        cluster.check_commits()
        if fault.check:
            cluster.check()
        self.struck += 1

    def _written(self) -> int:
        """How long ``patient.state`` is."""
        return self._cluster.readings.ends(topics.STATE) or 0

    def _under_way(self, written: int) -> None:
        """Wait until so much is written, or for long enough: what comes now comes in the middle."""
        end = time.monotonic() + TRIGGER_S
        self._cluster.until(
            lambda: self._written() >= written or time.monotonic() > end,
            "work on the burst begins",
            pause=0.005,
        )

    def _happen(self, kind: str, fault: Fault) -> None:
        broker = self._cluster.broker
        match kind:
            case "kill":
                worker = self._one(fault.choice)
                if worker is not None:
                    self._die(worker, fault.lost)
            case "hold":
                self._hold(fault)
            case "freeze":
                self._freeze(fault)
            case "late":
                self._late(fault)
            case "join" | "leave":
                self._join_or_leave(kind, fault.choice)
            case "broker-restart":
                self._without_broker(broker.restart)
            case "broker-kill":
                broker.kill9()
                self._without_broker(broker.start)
            case "broker-freeze":
                broker.suspend()
                self._cluster.until_past(time.monotonic() + BROKER_FREEZE_S, "frozen broker")
                broker.resume()

    # -- whom

    def _one(self, choice: float) -> GatedWorker | None:
        """A worker that runs, if there is one; if it can be, one that has partitions."""
        cluster = self._cluster
        there = self._working() or [
            w for w in cluster.workers if w not in cluster.away and not w.ended
        ]
        return there[int(choice * len(there))] if there else None

    def _holder(self, fault: Fault, slowness: float = 0.0) -> GatedWorker | None:
        """A worker with records on their way to the broker that do not get there; after its next
        commit, if there is ``slowness``. None if there was nobody with partitions."""
        cluster = self._cluster
        end = time.monotonic() + TRIGGER_S
        cluster.until(
            lambda: self._working() or time.monotonic() > end, "a worker has partitions", pause=0.02
        )
        working = self._working()
        if not working:
            return None
        worker = working[int(fault.choice * len(working))]
        if slowness:
            worker.gate.hold_at_commit(slowness)
        else:
            worker.gate.hold()
        floods = 0

        def holds() -> bool:
            nonlocal floods
            if floods < MOST_FLOODS:
                floods += 1
                self._flood(worker)
            held = worker.gate.records_stop and worker.gate.holding
            return bool(held) or worker.ended or time.monotonic() > end

        end = time.monotonic() + TRIGGER_S
        cluster.until(holds, "records are held", pause=FLOOD_S)
        if worker.gate.records_stop and worker.gate.holding and not worker.ended:
            cluster.note(f"worker {worker.pid} waits for acknowledgements")
            return worker
        worker.gate.open()
        return None

    def _working(self) -> list[GatedWorker]:
        """Those that have partitions, as they said last."""
        cluster = self._cluster
        there = [w for w in cluster.workers if w not in cluster.away and not w.ended]
        return [worker for worker in there if worker.partitions]

    def _flood(self, worker: GatedWorker) -> None:
        """Much for all that a worker has."""
        for partition in worker.partitions:
            self._cluster.send(self._cluster.story.flood(partition))

    # -- faults of workers

    def _die(self, worker: GatedWorker, lost: bool) -> None:
        """By kill -9, and what is on its way is lost or not; nobody else has a say before the
        session ends, so its last commit must be true by now."""
        worker.kill()
        if lost:
            worker.gate.drop()
        else:
            worker.gate.open()
        self._cluster.check_commits()
        self._cluster.kill(worker)

    def _hold(self, fault: Fault) -> None:
        """Records are slow to arrive, and from a commit on none does: whatever was not acknowledged
        by then dies with its worker, and must not have been committed.

        A commit alone would not show it: Faust's awaits what aiokafka has in hand, and the few
        milliseconds' work behind it are acknowledged before anybody can kill the worker."""
        worker = self._holder(fault, SLOWNESS_S)
        if worker is not None:
            self._die(worker, lost=True)

    def _join_or_leave(self, kind: str, choice: float) -> None:
        cluster = self._cluster
        room = len(cluster.workers) < MOST_WORKERS
        worker = self._one(choice)
        if len(cluster.workers) > 1 and worker is not None and (kind == "leave" or not room):
            worker.signal(signal.SIGTERM)
            cluster.workers.remove(worker)
            cluster.leaving.append(worker)
            cluster.note(f"worker {worker.pid} asked to leave")
        elif room:
            cluster.start()

    def _freeze(self, fault: Fault) -> None:
        """A worker does not know that the others took over; nothing that it may still send when it
        wakes up may win, though nobody says anything after it."""
        cluster = self._cluster
        if len(cluster.workers) < 2:
            cluster.start()
        worker = self._one(fault.choice)
        if worker is None:
            return
        if worker.partitions:
            written = self._written()
            self._flood(worker)
            self._flood(worker)
            self._under_way(written + fault.progress)
        until = time.monotonic() + FREEZE_S
        recovered = len(worker.said("recovered"))
        worker.signal(signal.SIGSTOP)
        cluster.note(f"worker {worker.pid} frozen")
        self._meanwhile(worker, fault)
        cluster.until_past(until, "frozen worker")
        if not worker.ended:
            worker.signal(signal.SIGCONT)
        cluster.note(f"worker {worker.pid} wakes up")
        self._back(worker, recovered)

    def _late(self, fault: Fault) -> None:
        """A worker is cut off from everybody with a batch on its way, and others take over. The
        batch arrives after all that they wrote."""
        cluster = self._cluster
        if len(cluster.workers) < 2:
            cluster.start()
        worker = self._holder(fault)
        if worker is None:
            return
        # the answer to a heartbeat is on its way too: it tells of a time that is past
        worker.gate.mute()
        cluster.until_past(time.monotonic() + HEARTBEAT_S * 2, "answers are on their way")
        worker.gate.shut()
        recovered = len(worker.said("recovered"))
        cluster.note(f"worker {worker.pid} cut off")
        self._meanwhile(worker, fault)
        worker.gate.open()
        cluster.note(f"worker {worker.pid} is heard again")
        self._back(worker, recovered)
        cluster.check()

    def _meanwhile(self, worker: GatedWorker, fault: Fault) -> None:
        """While a worker is away the others take over and are right."""
        cluster = self._cluster
        cluster.away.append(worker)
        cluster.send(cluster.story.burst(fault.burst))
        if fault.inner:
            cluster.note(f"and meanwhile: {fault.inner}")
            self._happen(fault.inner, fault)
        if fault.cut:
            cluster.send(cluster.story.cut())
        cluster.flush()
        cluster.until_right(cluster.readings.wrong_values, "values, while a worker is away")

    def _back(self, worker: GatedWorker, recovered: int) -> None:
        """``recovered`` counts how often it had recovered when it went away."""
        cluster = self._cluster
        if worker in cluster.away:
            cluster.away.remove(worker)
        cluster.until(
            lambda: worker.ended or len(worker.said("recovered")) > recovered,
            "the worker that was away ends or joins again",
        )
        cluster.until_right(cluster.readings.wrong_values, "values, after a worker came back")

    # -- faults of the broker

    def _without_broker(self, bring_back: Callable[[], None]) -> None:
        cluster = self._cluster
        cluster.broker_up = False
        try:
            bring_back()
        finally:
            cluster.broker_up = True
        for _ in range(2 - len(cluster.workers)):
            cluster.start()
