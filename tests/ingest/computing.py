"""Compute's own core over what ingest sent, without a broker: the figures that follow from it."""

from peerview_common import changes
from peerview_common.changes import ChangeSet, ClockTicked, Control
from peerview_common.cloudevents import headers
from peerview_common.days import day_of_millis
from peerview_common.snapshots import decode_body, origin_hash
from peerview_common.values import decode_value
from peerview_compute.engine.partition import Partition
from peerview_compute.engine.replay import Replay
from peerview_compute.engine.states import PartitionStates
from peerview_compute.model.core import Core, shipped_definitions
from tests.ingest.builders import NOW

CORE = Core(shipped_definitions())
SNAPSHOT_KEY = bytes(range(16))
DAY = day_of_millis(NOW)

Figures = dict[str, tuple[int, ...]]


class Computed:
    """Everything of one log, taken in record by record."""

    def __init__(self, events: list[ChangeSet | Control], day: int = DAY) -> None:
        self.partition = Partition(PartitionStates(0, CORE), CORE)
        self.replay = Replay(self.partition)
        self.day = day
        self._offset = 0
        for event in [ClockTicked("t", day, 0), *events]:
            self.take(event)

    def take(self, event: ChangeSet | Control) -> None:
        kind = headers(changes.event_type(event), "test")
        self.replay.take(self._offset, kind, changes.encode(event))
        self._offset += 1
        assert self.replay.failed == 0

    def values(self, practice: str) -> tuple[Figures, set[str]]:
        """``({indicator: counts}, states)``."""
        self.replay.settle()
        found = {}
        states = set()
        for data in self.replay.values(practice).values():
            v = decode_value(data)
            states.add(v.state)
            found[v.indicator] = (
                v.denominator, v.numerator, v.met, v.miss, v.exception, v.excluded, v.objected
            )  # fmt: skip
        return found, states

    def figures(self, practice: str) -> Figures:
        return self.values(practice)[0]

    def holders(self, practice: str) -> set[bytes]:
        """Patients who have facts."""
        patients = self.partition.practices[practice].states.patients
        return {key for key, stored in patients.items() if not CORE.peek(stored).empty}

    def present(self, practice: str) -> set[bytes]:
        """Patients of whom something is left to count: a deletion is kept, and counts nothing."""
        return {
            key
            for key, stored in self.stored(practice).items()
            if any(fact.body is not None for fact in CORE.facts(stored))
        }

    def stored(self, practice: str) -> dict[bytes, bytes]:
        return dict(self.partition.practices[practice].states.patients.items())

    def snapshot(self, practice: str) -> tuple[frozenset[int], dict[str, str]]:
        """The patients of a snapshot, as hashes of their origins, and the states of its cells."""
        place = self.partition.practice(practice)
        *_, body = self.partition.snapshot(place, self.day, SNAPSHOT_KEY)
        assert body is not None
        found = decode_body(body)
        hashes = memoryview(found.patients).cast("Q")
        return frozenset(hashes), dict(found.states)


def hashes(keys: set[bytes]) -> frozenset[int]:
    return frozenset(origin_hash(SNAPSHOT_KEY, key) for key in keys)
