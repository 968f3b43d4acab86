"""What a commit promises: all records before it are in the log with everything they led to.

A second model follows ``practice.changes`` only as far as was committed. Whatever it says of the
patients, practices and cuts that the records since the last look were about, the log must say too,
or more: the log may be ahead of a commit, never behind. Values are not asked for: they are
published again whenever a partition comes to a worker.
"""

from collections import defaultdict, deque

from peerview_common.changes import (
    BackfillCompleted,
    ChangeSet,
    ClockTicked,
    Control,
    PatientRekeyed,
)
from peerview_common.snapshots import SnapshotChunk, join_chunks
from peerview_compute.engine.records import (
    MARKER_SIGN,
    Marker,
    Notes,
    decode_marker,
    decode_notes,
    marker_key,
    notes_key,
    patient_key,
)
from peerview_compute.model.core import Core
from tests.chaos.model import Model, pruned


class Promise:
    """Fed with what the topics hold, in each partition's order."""

    def __init__(self, core: Core, snapshot_key: bytes, partitions: int) -> None:
        self._core = core
        self._model = Model(core, snapshot_key, partitions)
        self._ahead: list[deque[tuple[int, ChangeSet | Control]]] = [
            deque() for _ in range(partitions)
        ]
        self._days: list[int | None] = [None] * partitions
        self.joined: dict[bytes, bytes] = {}
        """All records of each patient, joined."""
        self._notes: dict[bytes, Notes] = defaultdict(Notes)
        self._markers: dict[bytes, Marker] = defaultdict(Marker)
        self.chunks: dict[tuple[str, int], dict[str, list[SnapshotChunk]]] = defaultdict(
            lambda: defaultdict(list)
        )
        """By practice and cut, by attempt."""

    def sent(self, partition: int, offset: int, event: ChangeSet | Control) -> None:
        """The next record of ``practice.changes``."""
        self._ahead[partition].append((offset, event))
        if isinstance(event, ClockTicked):
            self._days[partition] = max(self._days[partition] or event.day, event.day)

    def state(self, key: bytes, value: bytes) -> None:
        """The next record of ``patient.state``."""
        if key.startswith(MARKER_SIGN):
            self._markers[key] = self._markers[key].join(decode_marker(value))
        elif key.endswith(MARKER_SIGN):
            self._notes[key] = self._notes[key].join(decode_notes(value))
        else:
            known = self.joined.get(key)
            self.joined[key] = value if known is None else self._core.merge(known, value)

    def snapshot(self, chunk: SnapshotChunk) -> None:
        """The next record of ``indicator.snapshots``."""
        self.chunks[chunk.practice, chunk.cut][chunk.attempt].append(chunk)

    def whole(self, practice: str, cut: int) -> bool:
        """There is a snapshot without a hole."""
        attempts = self.chunks.get((practice, cut), {})
        return any(join_chunks(chunks) is not None for chunks in attempts.values())

    def broken(self, partition: int, committed: int) -> list[str]:
        """What is missing in the log of the records before ``committed``, an offset that was asked
        for before the log was read."""
        patients: set[tuple[str, bytes]] = set()
        practices: set[str] = set()
        ahead = self._ahead[partition]
        snapshots = self._model.snapshots.keys()
        known = set(snapshots)
        while ahead and ahead[0][0] < committed:
            offset, event = ahead.popleft()
            self._model.take(partition, offset, event)
            if isinstance(event, ChangeSet | PatientRekeyed | BackfillCompleted):
                practices.add(event.practice)
            if isinstance(event, ChangeSet):
                patients |= {(event.practice, part.patient) for part in event.patients}
            elif isinstance(event, PatientRekeyed):
                patients |= {(event.practice, event.old), (event.practice, event.new)}
        found = [
            f"patient {patient_key(*who)!r}: {lack}"
            for who in sorted(patients)
            if (lack := self._lack(partition, *who))
        ]
        for code in sorted(practices):
            position = self._notes[notes_key(code)].position
            expected = self._model.practices[partition][code].position
            if position < expected:
                found.append(f"notes of {code} stop at {position}, before {expected}")
        marker, expected_marker = (
            self._markers[marker_key(partition)],
            self._model.markers[partition],
        )
        if (marker.as_of or 0) < (expected_marker.as_of or 0) or marker.cut < expected_marker.cut:
            found.append(f"the marker is {marker}, behind {expected_marker}")
        found += [
            f"no whole snapshot of {key}" for key in sorted(snapshots - known)
            if not self.whole(*key)
        ]  # fmt: skip
        return [f"committed {committed} of partition {partition}, but {text}" for text in found]

    def _lack(self, partition: int, code: str, patient: bytes) -> str:
        expected = self._model.patient(partition, code, patient)
        if expected is None:
            return ""
        key = patient_key(code, patient)
        stored = self.joined.get(key)
        if stored is None:
            return "absent"
        day = self._days[partition]
        with_it = pruned(self._core, self._core.merge(stored, expected), day)
        return "facts are missing" if with_it != pruned(self._core, stored, day) else ""
