"""Care gaps of running workers: whoever holds the practice answers, the other says who does not."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from peerview_common.changes import ClockTicked
from peerview_tools.issuer import DevelopmentIssuer
from tests.compute.engine.feed import DAY, Feed, change_set, history
from tests.compute.engine.world import Log, Reference, Worker, until_counts, wait_until

pytestmark = pytest.mark.broker
PRACTICE = "A99090"


def test_the_holder_answers_and_the_other_sends_away(
    feed: Feed, log: Log, start: Callable[..., Worker], tmp_path: Path
) -> None:
    issuer = DevelopmentIssuer(tmp_path / "issuer")
    token = issuer.token(
        subject="dr-jones", practices=[PRACTICE], scope="share:read", roles=["clinical"]
    )

    def ask(worker: Worker) -> tuple[int, Any]:
        url = f"http://127.0.0.1:{worker.port}/v1/practices/{PRACTICE}/care-gaps/bp-htn-u80"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    reference = Reference()
    feed.send_everywhere(ClockTicked("tick", DAY, 0))
    random = Random(3)
    parts = [(n, history(random, 12)) for n in range(40)]
    feed.send(reference.take(change_set(PRACTICE, parts)))
    feed.flush()
    workers = [start(PEERVIEW_JWKS=issuer.jwks) for _ in range(2)]
    for worker in workers:
        worker.until_ready()
    until_counts(log, reference.counts(DAY), "2026-03-01")
    wait_until(lambda: sorted(ask(worker)[0] for worker in workers) == [200, 421], "a holder")
    answers = dict(ask(worker) for worker in workers)
    expected = log.values()[PRACTICE, "bp-htn-u80"]
    assert expected.miss == len(answers[200]["patients"]) > 0
    assert answers[421]["partition"] == feed.partition_of(PRACTICE)
    lines = [line for worker in workers for line in worker.said("audit")]
    assert {(line["subject"], line["patients"]) for line in lines} == {("dr-jones", expected.miss)}
    assert workers[0].get(f"/v1/practices/{PRACTICE}/care-gaps/bp-htn-u80")[0] == 401
