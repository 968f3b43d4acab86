"""The states of one partition's patients, by practice: what recovery fills and the engine changes.

A partition's states live and die together: losing the partition is dropping the object.
"""

from collections.abc import Iterator

from peerview_compute.engine.records import (
    MARKER_SIGN,
    Marker,
    Notes,
    decode_marker,
    decode_notes,
    encode,
    marker_key,
    notes_key,
    patient_key,
    split_patient_key,
)
from peerview_compute.engine.stores import MemoryStore, Patients, StateStore
from peerview_compute.model.core import Core


class PracticeStates:
    """One practice: its patients' stored states, and its notes."""

    __slots__ = ("notes", "patients")

    def __init__(self, patients: Patients) -> None:
        self.patients = patients
        """By the 16-byte patient key."""
        self.notes = Notes()


class PartitionStates:
    """Everything that ``patient.state`` says about one partition."""

    def __init__(self, number: int, core: Core, store: StateStore | None = None) -> None:
        self.number = number
        self._store = (store or MemoryStore()).partition(number)
        self.practices: dict[str, PracticeStates] = {}
        self.marker = Marker()
        self.joined: set[bytes] = set()
        """Keys whose newest record alone does not hold all that was read: to be written again, or
        compaction could leave the lesser one."""
        self._core = core

    def close(self) -> None:
        """The partition is lost: nothing of it is asked for any more."""
        self._store.close()

    def practice(self, code: str) -> PracticeStates:
        found = self.practices.get(code)
        if found is None:
            found = self.practices[code] = PracticeStates(self._store.practice(code))
        return found

    def read(self, key: bytes, value: bytes | None) -> None:
        """Join one record of the topic. Raises UnreadableRecord, UnreadableState.

        A tombstone is nothing to join: nothing is ever un-said by one.
        """
        if value is None:
            return
        if key.startswith(MARKER_SIGN):
            known = encode(self.marker)
            self.marker = self.marker.join(decode_marker(value))
            self._remember(key, known, value, encode(self.marker))
            return
        if key.endswith(MARKER_SIGN):
            place = self.practice(key[:-1].decode())
            known = encode(place.notes)
            place.notes = place.notes.join(decode_notes(value))
            self._remember(key, known, value, encode(place.notes))
            return
        practice, packed = split_patient_key(key)
        patients = self.practice(practice).patients
        stored = patients.get(packed)
        if stored is None or stored == value:
            patients[packed] = value
            self.joined.discard(key)
            return
        patients[packed] = merged = self._core.merge(stored, value)
        self._remember(key, stored, value, merged)

    def _remember(self, key: bytes, known: bytes, read: bytes, merged: bytes) -> None:
        if merged == read:
            self.joined.discard(key)
        else:
            self.joined.add(key)

    def record(self, key: bytes) -> bytes:
        """The value that belongs under ``key`` now."""
        if key.startswith(MARKER_SIGN):
            return encode(self.marker)
        if key.endswith(MARKER_SIGN):
            return encode(self.practices[key[:-1].decode()].notes)
        practice, patient = split_patient_key(key)
        return self.practices[practice].patients[patient]

    def holds(self, key: bytes) -> bool:
        """Whether there is anything under ``key``."""
        try:
            self.record(key)
        except KeyError:
            return False
        return True

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Every record, as it would be written today."""
        yield marker_key(self.number), encode(self.marker)
        for code, practice in self.practices.items():
            yield notes_key(code), encode(practice.notes)
            for patient, stored in practice.patients.items():
                yield patient_key(code, patient), stored
