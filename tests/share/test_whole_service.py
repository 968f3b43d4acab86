"""The whole service on a real broker: from values and snapshots on topics to what peers read."""

import time

import msgspec
import pytest
from sqlalchemy import text

from peerview_common.changes import ClockTicked, ReleaseCut, decode
from peerview_common.cloudevents import header
from peerview_common.snapshots import encode_chunk
from peerview_common.topics import CHANGES, SNAPSHOTS, VALUES, topic_name
from peerview_common.values import Position, encode_value, value_key
from tests.share.running import PARTITIONS, Running, live, until
from tests.share.support import chunks, document, live_value, patients

pytestmark = pytest.mark.broker
A, B, C = "A99001", "A99002", "A99003"


@pytest.fixture
def running(tmp_path, issuer, bootstrap, topic_prefix):
    with Running(tmp_path, issuer, bootstrap, topic_prefix) as found:
        yield found


def cells_of(numerator):
    return {"bp-htn-u80": patients(numerator, 100), "dna": patients(20, 400)}


def test_a_value_on_the_topic_is_soon_the_live_figure(running, capsys):
    running.send_value(live_value(A, numerator=1))
    until(lambda: live(running, A))
    waits = []
    for number in range(2, 42):
        running.send_value(live_value(A, numerator=number))
        sent = time.perf_counter()
        while live(running, A)["numerator"] != number:
            assert time.perf_counter() - sent < 5
        waits.append(time.perf_counter() - sent)
    waits.sort()
    with capsys.disabled():
        print(f"\nacknowledged to visible over HTTP: p50 {waits[20] * 1000:.1f} ms")


def test_the_newest_value_of_many_wins_and_a_broken_one_stops_nothing(running):
    running.send(VALUES, b"x", b"not json")
    for number in range(500):
        running.producer.send(
            topic_name(running.prefix, VALUES),
            key=value_key(A, "dna"),
            value=encode_value(live_value(A, "dna", numerator=number, source=Position(0, number))),
        )
    running.producer.flush()
    until(lambda: (live(running, A, "dna") or {}).get("numerator") == 499)


def test_every_partition_gets_the_tick_then_the_cut(running):
    running.agree(document(A, B))
    number = running.cut()

    def events():
        found = {}
        for record in running.topic(topic_name(running.prefix, CHANGES)):
            event = decode(header(record.headers, "ce_type"), record.value)
            found.setdefault(record.partition, []).append(event)
        return found if sum(len(x) for x in found.values()) >= 2 * PARTITIONS else None

    for partition, sent in until(events).items():
        tick, cut = sent
        assert isinstance(tick, ClockTicked), partition
        assert isinstance(cut, ReleaseCut), partition
        assert (cut.cut, cut.day) == (number, tick.day)
    assert len(events()) == PARTITIONS


def test_from_cut_to_peers_to_withdrawal(running):
    running.agree(document(A, B, C))
    number = running.cut()
    until(lambda: running.share.epochs.current().sent_at)
    running.send_snapshot(A, number, cells_of(40))
    running.send_snapshot(B, number, cells_of(62), size=500)
    assert running.epoch(A) is None, "the epoch waits for the third practice"
    running.send_snapshot(C, number, cells_of(3))
    until(lambda: running.epoch(A) == number)

    states = {
        (c["subject"], c["indicator"]): (c["state"], c["numerator"])
        for c in running.peers(A).json()["cells"]
    }
    assert states == {
        (B, "bp-htn-u80"): ("value", 60),
        (C, "bp-htn-u80"): ("suppressed", None),
        (B, "dna"): ("value", 20),
        (C, "dna"): ("value", 20),
    }
    for viewer in (A, B, C):
        until(lambda viewer=viewer: running.over_topic(viewer) == running.over_rest(viewer))

    assert running.post("/v1/agreements/north-learning/withdraw", B).status_code == 200
    assert running.peers(B).status_code == 403
    assert {c["subject"] for c in running.peers(A).json()["cells"]} == {C}
    until(lambda: not running.over_topic(B))
    until(lambda: running.over_topic(A) == running.over_rest(A))
    assert not any(key.endswith(B) for key in running.over_topic(A))
    # the record of the withdrawal reaches other systems
    mirror = until(lambda: running.topic(f"{running.prefix}agreement.events")[4:])
    assert msgspec.json.decode(mirror[-1].value)["event"] == "withdrawn"


def test_nothing_goes_out_while_it_cannot_be_logged(running):
    """Neither by a topic nor over HTTP; and all of it once it can."""
    with running.share.database.write() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER full_disk BEFORE INSERT ON disclosures "
                "BEGIN SELECT RAISE(ABORT, 'no space left'); END"
            )
        )
    running.agree(document(A, B))
    number = running.cut()
    until(lambda: running.share.epochs.current().sent_at)
    for practice in (A, B):
        running.send_snapshot(practice, number, cells_of(40))
    until(lambda: running.share.problems()["leader"] == "IntegrityError")
    assert running.peers(A).status_code == 503
    assert [running.over_topic(viewer) for viewer in (A, B)] == [{}, {}]
    with running.share.database.write() as connection:
        connection.execute(text("DROP TRIGGER full_disk"))
    until(lambda: running.epoch(A) == number)
    until(lambda: running.over_topic(A) == running.over_rest(A))
    answer = running.get(f"/v1/practices/{B}/disclosures", B)
    assert {entry["channel"] for entry in answer.json()["disclosures"]} == {"api", "topic"}


def test_the_first_complete_attempt_wins_and_late_ones_are_discarded(running):
    running.agree(document(A, B))
    number = running.cut()
    until(lambda: running.share.epochs.current().sent_at)
    partial, *_ = chunks(B, number, cells_of(80), attempt="died", size=500)
    running.send(SNAPSHOTS, B.encode(), encode_chunk(partial))
    running.send_snapshot(B, number, cells_of(50), attempt="first", size=500)
    running.send_snapshot(B, number, cells_of(90), attempt="second")
    running.send_snapshot(A, number, cells_of(40))
    until(lambda: running.epoch(A) == number)
    running.send_snapshot(B, number, cells_of(20), attempt="late")
    (cell,) = [c for c in running.peers(A).json()["cells"] if c["indicator"] == "bp-htn-u80"]
    assert cell["numerator"] == 50
    second = running.cut()
    until(lambda: running.share.epochs.current().sent_at)
    running.send_snapshot(A, second, cells_of(40))
    running.send_snapshot(B, second, cells_of(52))
    until(lambda: running.epoch(A) == second)
    (cell,) = [c for c in running.peers(A).json()["cells"] if c["indicator"] == "bp-htn-u80"]
    assert (cell["state"], cell["numerator"]) == ("carried-forward", 50)


def test_an_epoch_closes_at_its_deadline_without_the_late(
    tmp_path, issuer, bootstrap, topic_prefix
):
    with Running(tmp_path, issuer, bootstrap, topic_prefix, epoch_deadline_s=1.5) as running:
        running.agree(document(A, B))
        number = running.cut()
        until(lambda: running.share.epochs.current().sent_at)
        running.send_snapshot(A, number, cells_of(40))
        until(lambda: running.epoch(A) == number)
        assert {c["state"] for c in running.peers(A).json()["cells"]} == {"not-submitted"}
        assert {c["state"] for c in running.peers(B).json()["cells"]} == {"value"}


def test_two_replicas_share_one_database_and_both_deny_soon_after_a_withdrawal(
    tmp_path, issuer, bootstrap, topic_prefix
):
    with (
        Running(tmp_path, issuer, bootstrap, topic_prefix) as one,
        Running(tmp_path, issuer, bootstrap, topic_prefix) as two,
    ):
        one.agree(document(A, B))
        number = two.cut()
        until(lambda: one.share.epochs.current().sent_at)
        for practice in (A, B):
            one.send_snapshot(practice, number, cells_of(40))
        until(lambda: one.epoch(A) == two.epoch(A) == number)
        assert one.peers(A).content == two.peers(A).content
        cuts = [
            record
            for record in one.topic(topic_name(topic_prefix, CHANGES))
            if header(record.headers, "ce_type").startswith("peerview.release.cut")
        ]
        assert len(cuts) == PARTITIONS, "one leader sends it"
        assert one.post("/v1/agreements/north-learning/withdraw", B).status_code == 200
        until(lambda: two.peers(A).status_code == 403, seconds=5)


def test_everything_is_there_after_a_restart(tmp_path, issuer, bootstrap, topic_prefix):
    with Running(tmp_path, issuer, bootstrap, topic_prefix) as running:
        running.agree(document(A, B))
        running.send_value(live_value(A))
        until(lambda: live(running, A))
        number = running.cut()
        until(lambda: running.share.epochs.current().sent_at)
        for practice in (A, B):
            running.send_snapshot(practice, number, cells_of(40))
        until(lambda: running.epoch(A) == number)
        before = running.peers(A).content
    with Running(tmp_path, issuer, bootstrap, topic_prefix) as running:
        assert running.peers(A).content == before
        assert live(running, A)["numerator"] == 682
