"""`peerview dlq` on a real broker: what it shows of dead letters, and what it sends again."""

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from kafka import KafkaProducer
from typer.testing import CliRunner, Result

from peerview_common import changes, topics
from peerview_common.changes import ChangeSet, ClockTicked, Control, PatientRekeyed
from peerview_common.cloudevents import header, headers
from peerview_compute.engine.deadletters import dead_letter, part_of, part_of_tick
from peerview_compute.engine.partition import Partition
from peerview_compute.engine.replay import Replay
from peerview_compute.engine.states import PartitionStates
from peerview_compute.model.core import Applied, Core, shipped_definitions
from peerview_tools.cli import app
from peerview_tools.dead_letters import REPLAYED_FROM
from tests.compute.engine.feed import DAY, change_set, history, patient_key
from tests.compute.engine.world import Log

pytestmark = pytest.mark.broker

PARTITIONS = 3
ONE, OTHER = "A99051", "A99052"
HOME, AWAY = (topics.practice_partition(one, PARTITIONS) for one in (ONE, OTHER))


class Desk:
    """Topics of this test's own, and the command beside them."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        topics.provision(bootstrap, prefix=prefix, partitions=PARTITIONS)
        self.log = Log(bootstrap, prefix)
        self._env = {"PEERVIEW_KAFKA": bootstrap, "PEERVIEW_TOPIC_PREFIX": prefix}
        self._topic = topics.topic_name(prefix, topics.DEAD_LETTERS)
        self._producer = KafkaProducer(bootstrap_servers=bootstrap)

    def close(self) -> None:
        self._producer.close()

    def put(self, event: ChangeSet | Control, stage: str, partition: int, at: int = 0) -> str:
        """A dead letter as a worker writes it; its place."""
        made = headers(changes.event_type(event), "test", subject=ONE)
        practice = getattr(event, "practice", "!")
        return self.put_bytes(changes.encode(event), made, practice, stage, partition, at)

    def put_bytes(
        self, value: bytes, made: Any, key: str, stage: str, partition: int, at: int = 0
    ) -> str:
        item = dead_letter(
            key.encode(), value, made,
            reason="StateTooLarge: a state of 950001 bytes", stage=stage, partition=partition,
            offset=17,
        )  # fmt: skip
        sent = self._producer.send(
            self._topic, key=item.key, value=item.value, headers=list(item.headers),
            partition=partition, timestamp_ms=at or None,
        ).get(30)  # fmt: skip
        return f"{sent.partition}:{sent.offset}"

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, ["dlq", *words], env=self._env)

    def resent(self) -> list[Any]:
        return self.log.records(topics.CHANGES)


@pytest.fixture
def desk(bootstrap: str, topic_prefix: str) -> Iterator[Desk]:
    desk = Desk(bootstrap, topic_prefix)
    yield desk
    desk.close()


def part(practice: str = ONE, patient: int = 7) -> ChangeSet:
    return change_set(practice, [(patient, history(Random(patient), 6))])


def test_a_list_tells_whose_and_why_and_nothing_of_the_data(desk: Desk) -> None:
    applied = desk.put(part(), "apply", HOME)
    moved = PatientRekeyed("r", OTHER, patient_key(3), patient_key(4), "old", 0)
    desk.put(moved, "rekey", AWAY)
    desk.put_bytes(
        b"\xffJane Doe", [("ce_type", b"peerview.practice.changes.v1")], ONE, "decode", HOME
    )
    told = desk.run("list")
    assert told.exit_code == 0
    row = next(line for line in told.output.splitlines() if f" {applied} " in line)
    for cell in (ONE, "apply", "StateTooLarge", f"{HOME}:17", patient_key(7).hex(), " 6 "):
        assert cell in row
    assert "2 patients" in told.output
    assert "cannot be decoded" in told.output
    assert "Jane" not in told.output
    assert "3 dead letters of 2 practices: 1 apply, 1 decode, 1 rekey" in told.output


def test_a_list_is_narrowed_by_practice_stage_and_time(desk: Desk) -> None:
    long_ago = 1_700_000_000_000  # 2023-11-14
    for stage, practice, at in (
        ("apply", ONE, long_ago), ("apply", ONE, 0), ("tick", ONE, 0), ("apply", OTHER, 0)
    ):  # fmt: skip
        desk.put(part(practice), stage, HOME if practice == ONE else AWAY, at)
    for words, count in (
        ([], 4),
        (["--practice", ONE], 3),
        (["--practice", ONE, "--practice", OTHER, "--stage", "apply"], 3),
        (["--practice", ONE, "--stage", "apply", "--since", "2023-11-15"], 1),
        (["--since", "2023-11-14T00:00"], 4),
        (["--practice", "A99099"], 0),
    ):
        assert f"{count} dead letters of" in desk.run("list", *words).output, words
    newest = desk.run("list", "--newest", "3").output
    assert "and 1 older" in newest
    assert "2023" not in newest
    assert desk.run("list", "--stage", "nonsense").exit_code == 2


def test_what_comes_of_a_record_is_text_and_never_a_command_to_the_terminal(desk: Desk) -> None:
    desk.put_bytes(b"\xff", [], "[red]\x1b[2J", "decode", HOME)
    told = desk.run("list").output
    assert "[red]?[2J" in told
    assert "\x1b[2J" not in told


def test_a_letter_is_sent_again_as_what_it_was(desk: Desk) -> None:
    whole = change_set(ONE, [(n, history(Random(n), 4)) for n in range(3)])
    made = headers(changes.event_type(whole), "test", subject=ONE)
    value = part_of(whole, whole.patients[1])
    # wherever it lay: it goes to the practice's own partition
    letter = desk.put_bytes(value, made, ONE, "apply", (HOME + 1) % PARTITIONS)
    desk.put(part(OTHER), "apply", AWAY)
    told = desk.run("replay", letter)
    assert told.exit_code == 0, told.output
    assert f"{letter} (apply, {ONE}): sent again as {HOME}:0" in told.output
    assert told.output.endswith("1 sent again\n")
    (record,) = desk.resent()
    assert (record.partition, record.key, record.value) == (HOME, ONE.encode(), value)
    assert record.headers == [*made, (REPLAYED_FROM, letter.encode())]
    event = changes.decode(header(record.headers, "ce_type"), record.value)
    assert isinstance(event, ChangeSet)
    assert event.patients == [whole.patients[1]]


def test_all_of_a_filter_are_sent_and_a_dry_run_sends_nothing(desk: Desk) -> None:
    places = [desk.put(part(patient=n), "apply", HOME) for n in range(250)]
    desk.put(part(OTHER), "apply", AWAY)
    desk.put(part(), "rekey", HOME)
    words = ("replay", "--practice", ONE, "--stage", "apply")
    dry = desk.run(*words, "--dry-run")
    assert dry.exit_code == 0
    assert "250 would be sent" in dry.output
    assert desk.resent() == []
    assert "250 sent again" in desk.run(*words).output
    found = [header(record.headers, REPLAYED_FROM) for record in desk.resent()]
    assert found == places
    assert "252 sent again" in desk.run("replay", "--all").output


def test_what_cannot_be_decoded_is_refused_unless_raw(desk: Desk) -> None:
    made = [("ce_type", b"peerview.practice.changes.v1"), ("traceparent", b"00-1-2-01")]
    broken = desk.put_bytes(b"\xc1", made, ONE, "decode", HOME)
    unknown = desk.put_bytes(b"\x80", [("ce_type", b"peerview.unheard.of")], ONE, "decode", HOME)
    good = desk.put(part(), "apply", HOME)
    told = desk.run("replay", "--all")
    assert told.exit_code == 1
    assert "2 not sent, 1 sent again" in told.output
    assert f"{broken} (decode, {ONE}): not sent: it cannot be decoded" in told.output
    assert f"{unknown} (decode, {ONE}): not sent" in told.output
    assert f"{good} (apply, {ONE}): sent again" in told.output
    assert desk.run("replay", "--raw", broken).exit_code == 0
    record = desk.resent()[-1]
    assert (record.partition, record.key, record.value) == (HOME, ONE.encode(), b"\xc1")
    assert record.headers == [*made, (REPLAYED_FROM, broken.encode())]


def test_a_control_event_goes_where_it_came_from(desk: Desk) -> None:
    for partition in range(PARTITIONS):
        desk.put(ClockTicked("t", DAY, 0), "cut", partition)
    assert desk.run("replay", "--all").exit_code == 0
    assert sorted(record.partition for record in desk.resent()) == [0, 1, 2]


def test_a_letter_that_is_not_there_is_told(desk: Desk) -> None:
    letter = desk.put(part(), "apply", HOME)
    told = desk.run("replay", letter, f"{HOME}:99", "77:0")
    assert told.exit_code == 1
    assert f"{HOME}:99: there is no such dead letter" in told.output
    assert "77:0: there is no such dead letter" in told.output
    assert len(desk.resent()) == 1
    assert desk.run("replay", letter, "--practice", OTHER).exit_code == 1
    assert len(desk.resent()) == 1


@pytest.mark.parametrize("words", [[], ["--all", "1:2"], ["--all", "--stage", "apply"], ["one"]])
def test_nobody_sends_by_mistake(desk: Desk, words: list[str]) -> None:
    desk.put(part(), "apply", HOME)
    assert desk.run("replay", *words).exit_code == 2
    assert desk.resent() == []


def test_without_topics_it_says_so(bootstrap: str, topic_prefix: str) -> None:
    env = {"PEERVIEW_KAFKA": bootstrap, "PEERVIEW_TOPIC_PREFIX": topic_prefix}
    for words in (["list"], ["replay", "--all"]):
        told = CliRunner().invoke(app, ["dlq", *words], env=env)
        assert told.exit_code == 2
        assert "PEERVIEW_TOPIC_PREFIX" in told.output


class Refusing(Core):
    """Cannot bring one patient to another day."""

    stored = b""

    def refresh(self, stored: bytes, day: int) -> Applied:
        if stored == self.stored:
            raise ValueError("no")
        return super().refresh(stored, day)


def test_a_failed_tick_has_the_patient_evaluated_when_sent_again(desk: Desk) -> None:
    core = Refusing(shipped_definitions())
    partition = Partition(PartitionStates(HOME, core), core)
    worker = Replay(partition)
    event = change_set(ONE, [(n, history(Random(n), 30)) for n in range(4)])
    made = headers(changes.event_type(event), "test")
    partition.tick(DAY, 0)
    worker.take(1, made, changes.encode(event))
    practice = partition.practice(ONE)
    core.stored = practice.states.patients[patient_key(2)]
    partition.tick(DAY + 400, 2)
    failures = []
    while not partition.settled:
        failures += partition.work(float("inf"))[2]
    assert [failure.patient for failure in failures] == [patient_key(2)]
    behind = worker.values(ONE)
    # what the worker makes of it
    desk.put_bytes(part_of_tick(ONE, patient_key(2), made), made, ONE, "tick", HOME)
    assert desk.run("replay", "--stage", "tick").exit_code == 0
    core.stored = b""
    (record,) = desk.resent()
    worker.take(3, record.headers, record.value)
    after = worker.values(ONE)
    assert after != behind
    expected = core.tally()
    for stored in practice.states.patients.values():
        expected.add(core.refresh(stored, DAY + 400).after)
    assert practice.tally == expected
