"""Does a fact cost more where there are more patients? The partition in process, no Kafka."""

import gc
import random
import time
from statistics import median
from typing import Final

import msgspec

from peerview_common.changes import PatientChange
from peerview_compute.engine.partition import Partition
from peerview_compute.engine.records import Marker, encode, marker_key, patient_key
from peerview_compute.engine.states import PartitionStates
from peerview_tools.bench import load
from peerview_tools.bench.measure import Found, Size
from peerview_tools.bench.surroundings import PATIENTS_A_PRACTICE, Surroundings

_SIZES: Final = {
    "full": ((10_000, 100_000, 1_000_000), 25, 600),
    "quick": ((1_000, 10_000, 100_000), 9, 300),
    "tiny": ((10, 100), 2, 10),
}
_using: Final = 500
_changes = msgspec.msgpack.Decoder(PatientChange)


def run(around: Surroundings, size: Size) -> Found:
    sizes, turns, facts = _SIZES[size]
    around.say("filling partitions of " + ", ".join(f"{patients:,}" for patients in sizes))
    partitions = [_filled(patients) for patients in sizes]
    gc.collect()
    gc.freeze()
    try:
        costs: list[list[float]] = [[] for _ in sizes]
        for turn in range(turns):
            # the same templates in the same order for each, and the sizes in turn
            for patients, partition, found in zip(sizes, partitions, costs, strict=True):
                found.append(_cost(partition, patients, facts, turn))
    finally:
        gc.unfreeze()
    middles = [median(found) * 1e6 for found in costs]
    told = ", ".join(
        f"{middle:.0f} µs at {patients:,}" for middle, patients in zip(middles, sizes, strict=True)
    )
    return Found(
        max(middles) / min(middles), f"{told} patients; processor time of one fact alone, applied"
        f" to a state of {load.HELD}; median of {turns} turns of {facts} facts",
    )  # fmt: skip


def _filled(patients: int) -> Partition:
    states = PartitionStates(0, load.core())
    states.read(marker_key(0), encode(Marker(as_of=load.DAY, done=load.DAY)))
    for number, (key, state) in enumerate(load.stored_patients(0, patients, _using)):
        states.read(patient_key(_practice(number), key), state)
    return Partition(states, load.core())


def _practice(number: int) -> str:
    return load.practice_code(number // PATIENTS_A_PRACTICE)


def _cost(partition: Partition, patients: int, facts: int, turn: int) -> float:
    """Processor seconds of applying one fact."""
    rng = random.Random(turn)  # noqa: S311
    using = min(_using, patients)
    work = []
    for _ in range(facts):
        template = rng.randrange(using)
        number = rng.randrange(-(-(patients - template) // using)) * using + template
        brought = load.templates(using)[template].change(turn, 1)
        part = load._encode((load.patient_key(number), 1, False, msgspec.Raw(brought)))
        work.append((partition.practice(_practice(number)), _changes.decode(part)))
    began = time.thread_time()
    for practice, change in work:
        partition.apply(practice, change)
    return (time.thread_time() - began) / facts
