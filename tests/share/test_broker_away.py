"""The broker goes and comes back: rights hold meanwhile, and nothing is left behind."""

import pytest

from peerview_tools.broker import JvmBroker
from tests.share.running import Running, live, until
from tests.share.support import document, live_value, patients

pytestmark = pytest.mark.chaos
A, B = "A99001", "A99002"
CELLS = {"bp-htn-u80": patients(40, 100), "dna": patients(20, 400)}


def test_a_withdrawal_holds_without_the_broker_and_reaches_topics_when_it_is_back(
    tmp_path, issuer, topic_prefix
):
    broker = JvmBroker(tmp_path / "kafka")
    with broker, Running(tmp_path, issuer, broker.bootstrap, topic_prefix) as running:
        running.agree(document(A, B))
        number = running.cut()
        until(lambda: running.share.epochs.current().sent_at)
        for practice in (A, B):
            running.send_snapshot(practice, number, CELLS)
        until(lambda: running.epoch(A) == number)
        until(lambda: running.over_topic(A) == running.over_rest(A) != {})
        running.producer.close()

        broker.kill9()
        until(lambda: "broker" in running.client.get("/health/ready").text)
        assert running.client.get("/health/ready").status_code == 503
        assert running.peers(A).json()["cells"], "what is released can still be read"
        assert running.post("/v1/agreements/north-learning/withdraw", B).status_code == 200
        assert running.peers(A).status_code == 403

        broker.start()
        until(lambda: running.client.get("/health/ready").status_code == 200, seconds=60)
        until(lambda: running.over_topic(A) == running.over_topic(B) == {}, seconds=60)
        running.connect()
        running.send_value(live_value(A, numerator=77))
        until(lambda: (live(running, A) or {}).get("numerator") == 77, seconds=60)
