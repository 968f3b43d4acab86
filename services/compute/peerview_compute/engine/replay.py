"""A partition brought to where the log is, by nobody's worker: no Kafka, no lanes, nothing is sent.

It takes in what ``Processor`` does, in the same order, and so comes to the same figures. What a
release cut does is left out: snapshots are the live workers' business.
"""

import math
from collections.abc import Sequence

from peerview_common import changes
from peerview_common.changes import (
    BackfillCompleted,
    ChangeSet,
    ClockTicked,
    PatientRekeyed,
    PracticeRekeying,
)
from peerview_common.cloudevents import header
from peerview_compute.engine.partition import Partition
from peerview_compute.engine.records import Notes


class Replay:
    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.failed = 0
        """Records and patients' parts that a worker makes dead letters of."""

    def take(self, offset: int, headers: Sequence[tuple[str, bytes]], value: bytes | None) -> None:
        """One record of ``practice.changes``. To take one in again changes nothing."""
        try:
            change = changes.decode(header(headers, "ce_type"), value or b"")
        except Exception:
            self.failed += 1
            return
        match change:
            case ChangeSet():
                self._change(change, offset)
            case ClockTicked():
                self.partition.tick(change.day, offset)
            case PatientRekeyed():
                self._rekey(change, offset)
            case PracticeRekeying():
                self._note(change.practice, Notes(position=offset).after_rekeying(change))
            case BackfillCompleted():
                self._note(change.practice, Notes(position=offset, codes={change.codes: change.at}))
            case _:
                pass

    def _note(self, practice: str, notes: Notes) -> None:
        self.partition.note(self.partition.practice(practice), notes)

    def settle(self) -> None:
        """Bring every patient to the as-of day."""
        while not self.partition.settled:
            self.failed += len(self.partition.work(math.inf)[2])

    def values(self, practice: str) -> dict[bytes, bytes]:
        """A practice's values by key, as a worker writes them."""
        found = self.partition.practices.get(practice)
        return {} if found is None else dict(self.partition.values(found))

    def _change(self, change: ChangeSet, offset: int) -> None:
        practice = self.partition.practice(change.practice)
        for part in change.patients:
            try:
                self.partition.apply(practice, part)
            except Exception:
                self.failed += 1
        notes = Notes(
            data_through=change.data_through,
            position=offset,
            first={change.codes: change.received} if change.codes else {},
        )
        self.partition.note(practice, notes)

    def _rekey(self, event: PatientRekeyed, offset: int) -> None:
        practice = self.partition.practice(event.practice)
        try:
            self.partition.rekey(practice, event.old, event.new, event.old_source)
        except Exception:
            self.failed += 1
            return
        self.partition.note(practice, Notes(position=offset))
