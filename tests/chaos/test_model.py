"""The model against the engine's pure part, without a broker, where nothing fails."""

import hashlib
import time
from random import Random

import pytest

from peerview_common.changes import (
    BackfillCompleted,
    ChangeSet,
    ClockTicked,
    PatientRekeyed,
    ReleaseCut,
)
from peerview_compute.engine.partition import Partition
from peerview_compute.engine.records import Marker, Notes
from peerview_compute.engine.states import PartitionStates
from tests.chaos.cluster import PARTITIONS
from tests.chaos.events import Sent, Story
from tests.chaos.model import Model, comparable
from tests.compute.engine.world import CORE, SNAPSHOT_KEY


def story_of(seed: int) -> list[Sent]:
    story = Story(Random(seed), PARTITIONS)
    return [*story.burst(20), *story.tick(0), *story.burst(300), *story.rest(), *story.cut()]


def work_off(partition: Partition, offset: int, event: object) -> dict[tuple[str, int], bytes]:
    """One record, as a processor would; what a cut would send."""
    bodies = {}
    match event:
        case ChangeSet():
            practice = partition.practice(event.practice)
            for part in event.patients:
                partition.apply(practice, part)
            partition.note(practice, Notes(data_through=event.data_through, position=offset))
        case PatientRekeyed():
            practice = partition.practice(event.practice)
            partition.rekey(practice, event.old, event.new, event.old_source)
            partition.note(practice, Notes(position=offset))
        case BackfillCompleted():
            practice = partition.practice(event.practice)
            partition.note(practice, Notes(position=offset, codes={event.codes: event.at}))
        case ClockTicked():
            partition.tick(event.day, offset)
            while not partition.settled:
                assert partition.work(time.perf_counter() + 1)[2] == []
            partition.mark(Marker(done=partition.as_of))
        case ReleaseCut() if event.cut > partition.marker.cut:
            for code, practice in partition.practices.items():
                (body,) = filter(None, partition.snapshot(practice, event.day, SNAPSHOT_KEY))
                bodies[code, event.cut] = body
            partition.mark(Marker(cut=event.cut, offset=offset))
    return bodies


@pytest.mark.parametrize("seed", range(8))
def test_the_model_says_what_the_engine_says_when_nothing_fails(seed: int) -> None:
    model = Model(CORE, SNAPSHOT_KEY, PARTITIONS)
    partitions = [Partition(PartitionStates(n, CORE), CORE) for n in range(PARTITIONS)]
    bodies = {}
    for offset, (number, event) in enumerate(story_of(seed)):
        model.take(number, offset, event)
        bodies |= work_off(partitions[number], offset, event)
    digests = {key: found.digest for key, found in model.snapshots.items()}
    assert digests
    assert {key: hashlib.sha256(body).digest() for key, body in bodies.items()} == digests
    values = {
        write.key: write.value
        for partition in partitions
        for practice in partition.practices.values()
        for write in partition.values(practice)
    }
    assert values == model.values()
    found = {
        key: comparable(key, value)
        for partition in partitions
        for key, value in partition.states.records()
    }
    assert found == model.states()


def test_the_same_seed_tells_the_same_story() -> None:
    assert story_of(3) == story_of(3) != story_of(4)
