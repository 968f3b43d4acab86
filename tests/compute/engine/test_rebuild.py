"""`peerview rebuild` on a real broker: what is computed once more is what the workers said."""

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from random import Random

import pytest
from kafka.admin import KafkaAdminClient
from typer.testing import CliRunner

from peerview_common import topics
from peerview_common.changes import BackfillCompleted, ClockTicked, PatientRekeyed, ReleaseCut
from peerview_common.codes import shipped
from peerview_common.days import day_text
from peerview_tools.cli import app
from tests.compute.engine.feed import DAY, Feed, change_set, history, patient_key
from tests.compute.engine.world import Log, Worker, wait_until

pytestmark = pytest.mark.broker

Start = Callable[..., Worker]
PRACTICES = ("A99090", "A99091", "A99092")


@pytest.fixture
def rebuild(
    bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """The command; its exit code and what it said."""
    monkeypatch.setenv("PEERVIEW_KAFKA", bootstrap)
    monkeypatch.setenv("PEERVIEW_TOPIC_PREFIX", topic_prefix)

    def run(*arguments: object) -> tuple[int, str]:
        answer = CliRunner().invoke(app, ["rebuild", *map(str, arguments)])
        assert answer.exception is None or isinstance(answer.exception, SystemExit), answer
        return answer.exit_code, answer.output

    return run


def newest(log: Log) -> dict[bytes, bytes]:
    return {record.key: record.value for record in log.records(topics.VALUES)}


def lived(feed: Feed, log: Log, start: Start) -> Worker:
    """A worker with some history behind it: changes, days, a move, a cut, a back-fill."""
    random = Random(5)
    worker = start()
    feed.send_everywhere(ClockTicked("tick-1", DAY, 0))
    for n in range(24):
        parts = [(random.randrange(40), history(random, 9, stamp=n)) for _ in range(5)]
        feed.send(change_set(PRACTICES[n % 3], dict(parts).items(), data_through=n))
    home = feed.partition_of(PRACTICES[0])
    feed.send(PatientRekeyed("r", PRACTICES[0], patient_key(3), patient_key(99), "old", 0), home)
    feed.send(BackfillCompleted("b", PRACTICES[0], shipped().version, 77), home)
    feed.send_everywhere(ReleaseCut("cut-1", 1, DAY, 0))
    feed.send_everywhere(ClockTicked("tick-2", DAY + 40, 0))
    for n, practice in enumerate(PRACTICES):
        feed.send(change_set(practice, [(n, history(random, 9, stamp=90))], data_through=90 + n))
    feed.flush()
    end = day_text(DAY + 40)

    def done() -> bool:
        found = log.values().values()
        last = {
            v.practice
            for v in found
            if v.as_of == end and v.data_through >= "1970-01-01T00:00:00.09"
        }
        return last == set(PRACTICES)

    wait_until(done, "the last values")
    return worker


def test_computing_again_gives_the_same_bytes_and_so_does_the_log_alone(
    bootstrap: str, topic_prefix: str, feed: Feed, log: Log, start: Start,
    rebuild: Callable[..., tuple[int, str]],
) -> None:  # fmt: skip
    worker = lived(feed, log, start)
    for arguments in (["--compare"], ["--compare", "--from-log"]):
        code, said = rebuild(*arguments)
        assert code == 0, said
        assert "3 practices, 36 values: 36 identical to the byte, 0 different" in said
    assert "1 practices, 12 values" in rebuild("--compare", "--practice", PRACTICES[1])[1]
    assert worker.alive
    assert worker.stop() == 0
    before = newest(log)

    # everything derived is deleted: what is left is the log
    derived = (topics.STATE, topics.VALUES, topics.SNAPSHOTS)
    names = [topics.topic_name(topic_prefix, topic) for topic in derived]
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.delete_topics(names)
        wait_until(lambda: not set(names) & set(admin.list_topics()), "topics to go")
    finally:
        admin.close()
    topics.provision(bootstrap, prefix=topic_prefix, partitions=feed.partitions)
    code, said = rebuild("--compare")
    assert (code, "36 different" in said) == (1, True)
    assert newest(log) == {}
    code, said = rebuild("--switch")
    assert code == 0, said
    assert "36 values published" in said
    assert newest(log) == before
    assert rebuild("--compare")[0] == 0


def test_a_changed_definition_shows_what_it_changes_and_may_be_switched_to(
    feed: Feed, log: Log, start: Start, tmp_path: Path, rebuild: Callable[..., tuple[int, str]]
) -> None:
    worker = lived(feed, log, start)
    folder = tmp_path / "definitions"
    folder.mkdir()
    for path in (resources.files("peerview_compute") / "indicators").iterdir():
        text = path.read_text("utf-8")
        (folder / path.name).write_text(text.replace("systolic: 140", "systolic: 160"))
    before = log.values()
    code, said = rebuild("--compare", "--definitions", folder)
    assert code == 1
    assert "36 values: 0 identical to the byte" in said
    rows = [line for line in said.splitlines() if "A990" in line]
    assert rows
    assert all("bp-htn-u80" in row for row in rows)
    assert log.values() == before

    code, said = rebuild("--switch", "--definitions", folder)
    assert code == 0
    assert "36 values published" in said
    assert f"PEERVIEW_DEFINITIONS={folder}" in said.replace("\n", "")
    assert "PEERVIEW_CODE_LIST unset" in said
    after = log.values()
    changed = {key for key in before if before[key].numerator != after[key].numerator}
    assert {indicator for _, indicator in changed} == {"bp-htn-u80"}
    assert rebuild("--compare", "--definitions", folder)[0] == 0
    assert rebuild("--compare")[0] == 1

    assert worker.stop() == 0
    start(PEERVIEW_DEFINITIONS=str(folder)).until_ready()
    feed.send(change_set(PRACTICES[0], [(1, [])], data_through=500))
    feed.flush()
    wait_until(
        lambda: log.values()[PRACTICES[0], "dna"].data_through.endswith("00.500Z"), "a new value"
    )
    code, said = rebuild("--compare", "--definitions", folder)
    assert code == 0, said


def test_what_cannot_be_done_is_told(rebuild: Callable[..., tuple[int, str]]) -> None:
    code, said = rebuild("--compare")
    assert code == 2
    assert "no topic practice.changes" in said
    assert rebuild()[0] == 2
