"""A real worker's dead letter is listed, and counts once its cause is gone and it is sent again."""

from collections.abc import Callable
from random import Random

import msgspec
import pytest
from typer.testing import CliRunner, Result

from peerview_common import topics
from peerview_common.changes import ChangeSet, ClockTicked, PatientChange
from peerview_common.cloudevents import header
from peerview_common.days import day_text
from peerview_common.facts import Fact, ResourceType
from peerview_tools.cli import app
from tests.compute.engine.feed import (
    DAY,
    HYPERTENSION,
    Feed,
    blood_pressure,
    change_set,
    coded,
    history,
    patient_key,
    person,
)
from tests.compute.engine.world import Log, Reference, Worker, until_counts, wait_until

pytestmark = pytest.mark.broker

PRACTICE = "A99091"
PATIENT = 7
LATER = DAY + 130
"""When facts of two years before ``DAY`` are gone: 25 months, and 60 days."""


def half(name: str, first: int) -> list[Fact]:
    """Blood pressures of which one lot fits into a state, and no two."""
    return [
        blood_pressure(first + n // 10, 120, f"{name}-{n}-".ljust(1000, "x")) for n in range(600)
    ]


def of_patient(whole: ChangeSet, facts: list[Fact]) -> ChangeSet:
    part = PatientChange(patient_key(PATIENT), 0, False, facts)
    return msgspec.structs.replace(whole, patients=[part])


def test_a_failing_patient_is_listed_and_counts_once_replayed(
    feed: Feed, log: Log, start: Callable[..., Worker], bootstrap: str, topic_prefix: str
) -> None:
    def dlq(*words: str) -> Result:
        env = {"PEERVIEW_KAFKA": bootstrap, "PEERVIEW_TOPIC_PREFIX": topic_prefix}
        return CliRunner().invoke(app, ["dlq", *words], env=env)

    reference = Reference()
    start()
    feed.send_everywhere(ClockTicked("tick-1", DAY, 0))
    others = reference.take(change_set(PRACTICE, [(n, history(Random(n), 8)) for n in range(5)]))
    feed.send(others)
    hypertensive = [
        *person(Random(1)),
        coded(DAY - 2000, HYPERTENSION, ResourceType.CONDITION, "diagnosis", 0),
    ]
    feed.send(reference.take(of_patient(others, [*hypertensive, *half("old", DAY - 730)])))
    new = of_patient(others, half("new", DAY - 100))
    feed.send(new)
    feed.flush()
    until_counts(log, reference.counts(DAY), day_text(DAY))
    (letter,) = wait_until(lambda: log.records(topics.DEAD_LETTERS), "the dead letter")
    name = f"{letter.partition}:{letter.offset}"

    told = dlq("list", "--practice", PRACTICE, "--stage", "apply").output
    row = next(line for line in told.splitlines() if f" {name} " in line)
    for cell in (PRACTICE, "StateTooLarge", patient_key(PATIENT).hex(), " 600 "):
        assert cell in row

    # the cause is still there: it becomes a letter again
    assert dlq("replay", name).exit_code == 0
    again = wait_until(lambda: log.records(topics.DEAD_LETTERS)[1:], "the same again")
    assert header(again[0].headers, "replayed-from") == name
    assert again[0].value == letter.value

    # time takes the old facts away
    feed.send_everywhere(ClockTicked("tick-2", LATER, 0))
    feed.flush()
    without = reference.counts(LATER)
    until_counts(log, without, day_text(LATER))
    reference.take(new)
    assert reference.counts(LATER) != without
    told = dlq("replay", name).output
    assert f"{name} (apply, {PRACTICE}): sent again as " in told
    until_counts(log, reference.counts(LATER), day_text(LATER))
    assert len(log.records(topics.DEAD_LETTERS)) == 2
