"""Broker, ingest and its database are killed, frozen, locked and filled while practices send.

What got 202 is in the log, exactly once under its submission; what did not was answered with an
error, and is safe to send again: after that the log comes to what the documents say, patient by
patient. ``PEERVIEW_CHAOS_SEED`` repeats what is sent and the order of the faults.
"""

import json
import os
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from random import Random

import httpx
import pytest

from peerview_common.changes import ChangeSet
from tests.ingest.chaos.cluster import Cluster, Errors
from tests.ingest.chaos.story import Json, Lane, expected, facts_of, held_by, lanes
from tests.support.databases import NoPostgresError

pytestmark = pytest.mark.broker

PRACTICES = ["A99041", "A99042", "A99043", "A99044"]
FELT = 4
"""Errors after which a fault is healed."""
SQLITE = [
    "broker killed",
    "ingest killed",
    "database locked",
    "broker frozen",
    "database unwritable",
]
POSTGRES = [
    "database killed",
    "ingest killed",
    "broker killed",
    "database stopped",
    "broker frozen",
]


@dataclass
class Taken:
    """A document that got 202."""

    lane: Lane
    document: Json
    submission: str
    positions: list[str]
    unchanged: int
    attempts: int


class Run:
    def __init__(self, cluster: Cluster, seed: int, submissions: int) -> None:
        self.cluster = cluster
        self.random = Random(f"run {seed}")
        self.lanes = lanes(seed, PRACTICES, submissions)
        self.submissions = sum(len(lane.documents) for lane in self.lanes)
        self.errors = Errors()
        self.taken: list[Taken] = []
        self.left: list[tuple[Lane, Json]] = []
        """Documents of lazy lanes that were answered with an error."""
        self.faults: Counter[str] = Counter()
        self._failed: list[BaseException] = []
        self._done = 0
        self._lock = threading.Lock()

    # -- sending

    def send_all(self, faults: list[str]) -> None:
        """All lanes at once, with the faults spread over the way."""
        threads = [threading.Thread(target=self._lane, args=(lane,)) for lane in self.lanes]
        for thread in threads:
            thread.start()
        for number, kind in enumerate(faults):
            until = self.submissions * (number + 1) // (len(faults) + 1)
            while self._done < until and any(thread.is_alive() for thread in threads):
                time.sleep(0.005)
            if any(thread.is_alive() for thread in threads):
                self.cluster.strike(kind, self._felt)
                self.faults[kind] += 1
        for thread in threads:
            thread.join()
        if self._failed:
            raise self._failed[0]

    def _felt(self) -> None:
        self.errors.until_more(FELT, 8)

    def _lane(self, lane: Lane) -> None:
        token = self.cluster.token(lane.practice)
        random = Random(f"{lane.number}")
        try:
            with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=40) as client:
                for document in lane.documents:
                    if not self._document(client, random, lane, document):
                        self.left.append((lane, document))
                    with self._lock:
                        self._done += 1
        except BaseException as error:
            self._failed.append(error)

    def _document(self, client: httpx.Client, random: Random, lane: Lane, document: Json) -> bool:
        attempts = 0
        end = time.monotonic() + 120
        while True:
            attempts += 1
            answer = self._post(client, random, document)
            if answer is not None and answer.status_code == 202:
                with self._lock:
                    self.taken.append(_taken(lane, document, answer, attempts))
                return True
            self.errors.add(str(answer.status_code) if answer is not None else "no answer")
            assert answer is None or answer.status_code in (429, 503), answer.text
            if not lane.strict:
                return False
            assert time.monotonic() < end, "it was never taken"
            time.sleep(0.05)  # as a sender does: not at once

    def _post(self, client: httpx.Client, random: Random, document: Json) -> httpx.Response | None:
        replica = random.choice(sorted(self.cluster.replicas, key=lambda each: each.number))
        try:
            return client.post(f"{replica.url}/fhir", json=document)
        except httpx.HTTPError:
            return None

    def send_what_is_left(self) -> None:
        """The lazy senders come back."""
        assert self.left or not self.errors.total
        for lane, document in self.left:
            token = self.cluster.token(lane.practice)
            with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=40) as client:
                assert self._document(client, Random(1), lane, document)

    def send_everything_again(self) -> None:
        """In bulk, each lane in its order: nothing may change by it."""
        for lane in self.lanes:
            token = self.cluster.token(lane.practice)
            lines = b"\n".join(json.dumps(document).encode() for document in lane.documents)
            answer = httpx.post(
                f"{self.cluster.replicas[0].url}/v1/bulk",
                content=lines,
                headers={"Authorization": f"Bearer {token}"},
                timeout=120,
            )
            assert answer.status_code == 202, answer.text
            assert answer.json()["rejected"] == 0

    # -- what the log says

    def check(self) -> str:
        records = self.cluster.records()
        by_submission: defaultdict[str, list[str]] = defaultdict(list)
        contents: dict[str, set[tuple[bytes, int, bytes, int]]] = {}
        everything: set[tuple[str, bytes, int, bytes, int]] = set()
        for place, event in records:
            assert isinstance(event, ChangeSet)
            by_submission[event.submission].append(place)
            found = {
                (change.patient, fact.type, fact.id, fact.stamp)
                for change in event.patients
                for fact in change.facts
            }
            contents[place] = found
            everything |= {(event.practice, *each) for each in found}
        for one in self.taken:
            assert by_submission.pop(one.submission, []) == one.positions, one
            wanted = set(facts_of(one.lane, one.document))
            if one.lane.strict:
                continue
            # of lazy lanes nobody objects and nothing is newer: every fact of it is there
            assert {(one.lane.practice, *each) for each in wanted} <= everything, one
            if not one.unchanged:
                (place,) = one.positions
                assert contents[place] == wanted, one
        orphans = sum(map(len, by_submission.values()))
        held, reference = held_by(event for _, event in records), expected(self.lanes)
        wrong = {
            who: (held.get(who), reference.get(who))
            for who in held.keys() | reference.keys()
            if held.get(who) != reference.get(who)
        }
        assert not wrong, (
            f"{len(wrong)} of {len(reference)} patients differ: {list(wrong.items())[:3]}"
        )
        facts = sum(map(len, reference.values()))
        return (
            f"{len(records):,} records; of attempts that were answered with an error: {orphans}; "
            f"the join of the log is the reference: {len(reference):,} patients, {facts:,} facts"
        )


def _taken(lane: Lane, document: Json, answer: httpx.Response, attempts: int) -> Taken:
    receipt = dict(part.split("=") for part in answer.headers["Peerview-Receipt"].split(", "))
    assert receipt["rejected"] == "0", answer.text
    return Taken(
        lane,
        document,
        answer.headers["Peerview-Submission"],
        answer.headers["Peerview-Positions"].split(),
        int(receipt["unchanged"]),
        attempts,
    )


def run(
    name: str, submissions: int, faults: list[str], folder: Path, prefix: str, closing: list[str]
) -> None:
    seed = int(os.environ.get("PEERVIEW_CHAOS_SEED") or Random().randrange(2**24))
    postgres = name == "PostgreSQL"
    began = time.monotonic()
    try:
        cluster = Cluster(folder, prefix, postgres=postgres)
    except NoPostgresError as reason:
        pytest.skip(str(reason))
    with cluster:
        one = Run(cluster, seed, submissions)
        try:
            began = time.monotonic()
            one.send_all(faults)
            seconds = time.monotonic() - began
            first = sum(taken.attempts == 1 for taken in one.taken)
            one.send_what_is_left()
            assert len(one.taken) == one.submissions
            one.check()
            one.send_everything_again()
            told = one.check()
        except AssertionError as error:
            raise AssertionError(
                f"PEERVIEW_CHAOS_SEED={seed}; struck so far: {dict(one.faults)}; the logs are in "
                f"{folder}\n{error}"
            ) from error
    assert sum(one.faults.values()) == len(faults)
    assert one.errors.total >= len(faults) or not faults
    struck = ", ".join(f"{kind} {count}" for kind, count in one.faults.items())
    errors = ", ".join(f"{kind} {count}" for kind, count in sorted(one.errors.counts.items()))
    closing.append(
        f"ingest chaos on {name}, seed {seed}: {one.submissions:,} submissions in {seconds:.0f} s, "
        f"{sum(one.faults.values())} faults ({struck}); taken at the first attempt {first:,}; "
        f"errors answered: {one.errors.total} ({errors}); {told}"
    )


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("SQLite", ["ingest killed", "broker killed"]),
        ("PostgreSQL", ["database killed", "ingest killed"]),
    ],
)
def test_some_faults_lose_nothing(
    name: str, faults: list[str], tmp_path: Path, topic_prefix: str, closing: list[str]
) -> None:
    run(name, 240, faults, tmp_path, topic_prefix, closing)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("name", "kinds"), [("SQLite", SQLITE), ("PostgreSQL", POSTGRES)])
def test_many_faults_in_ten_thousand_submissions_lose_nothing(
    name: str, kinds: list[str], tmp_path: Path, topic_prefix: str, closing: list[str]
) -> None:
    run(name, 10_000, kinds * 4, tmp_path, topic_prefix, closing)
