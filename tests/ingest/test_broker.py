"""The service as its own process, before a real broker: what 202 and 503 are worth."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
from kafka import KafkaConsumer, TopicPartition

from peerview_common import changes, cloudevents
from peerview_common.changes import ChangeSet
from peerview_common.facts import pack_id
from peerview_common.topics import CHANGES, practice_partition, topic_name
from peerview_tools.issuer import DevelopmentIssuer
from peerview_tools.jvm_broker import JvmBroker
from tests.ingest.builders import PRACTICE, bundle, condition, meta, patient
from tests.support.processes import Service
from tests.support.waiting import wait_until

pytestmark = pytest.mark.broker
PARTITIONS = 3
STAMP = meta("2026-01-01T00:00:00Z")


@dataclass
class Running:
    process: Service
    client: httpx.Client
    issuer: DevelopmentIssuer

    def post(self, document: Any, **headers: str) -> httpx.Response:
        return self.client.post("/fhir", json=document, headers=headers)

    def ready(self) -> bool:
        return self.client.get("/health/ready").status_code == 200


@contextlib.contextmanager
def running(
    directory: Path,
    bootstrap: str,
    prefix: str,
    *,
    ready: bool = True,
    module: str = "peerview_ingest",
    stdout: IO[bytes] | None = None,
    **rest: str,
) -> Iterator[Running]:
    issuer = DevelopmentIssuer(directory)
    settings = {
        "KAFKA": bootstrap,
        "TOPIC_PREFIX": prefix,
        "PARTITIONS": str(PARTITIONS),
        "INGEST_DATABASE": f"sqlite:///{directory / 'ingest.db'}",
        "JWKS": issuer.jwks,
        "DELIVERY_TIMEOUT_MS": "2000",
        **rest,
    }
    environment = {f"PEERVIEW_{key}": text for key, text in settings.items()}
    process = Service(module, environment, directory, stdout=stdout)
    try:
        listening = process.listening()
        token = issuer.token(subject="feed", practices=[PRACTICE], scope="ingest:write")
        with httpx.Client(
            base_url=listening["address"],
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        ) as client:
            found = Running(process, client, issuer)
            if ready:
                wait_until(found.ready)
            yield found
    finally:
        try:
            process.stop(30)
        finally:
            process.kill()


def records(bootstrap: str, prefix: str) -> list[Any]:
    """All of the practice's records in the log, in order."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        place = TopicPartition(
            topic_name(prefix, CHANGES), practice_partition(PRACTICE, PARTITIONS)
        )
        consumer.assign([place])
        end = consumer.end_offsets([place])[place]
        consumer.seek_to_beginning(place)
        found: list[Any] = []
        while consumer.position(place) < end:
            for batch in consumer.poll(timeout_ms=500).values():
                found.extend(batch)
        return found
    finally:
        consumer.close()


def facts(found: list[Any]) -> dict[bytes, bytes]:
    """The newest body of each fact id."""
    held: dict[bytes, bytes] = {}
    for record in found:
        event = changes.decode(cloudevents.header(record.headers, "ce_type"), record.value)
        assert isinstance(event, ChangeSet)
        for change in event.patients:
            held.update({fact.id: repr(fact.body).encode() for fact in change.facts})
    return held


def test_202_means_that_it_is_in_the_log(tmp_path: Path, bootstrap: str, topic_prefix: str) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with running(tmp_path, bootstrap, topic_prefix) as service:
        answer = service.post(bundle(patient(), condition()), traceparent=trace)
        assert answer.status_code == 202
        (record,) = records(bootstrap, topic_prefix)
        assert answer.headers["Peerview-Positions"] == f"{record.partition}@{record.offset}"
        assert record.key == PRACTICE.encode()
        assert cloudevents.header(record.headers, "ce_type") == cloudevents.EventType.CHANGES
        assert cloudevents.header(record.headers, "traceparent") == trace
        accepted = [
            service.post(bundle(condition(f"c{number}"))).status_code for number in range(50)
        ]
        assert accepted == [202] * 50
        assert len(facts(records(bootstrap, topic_prefix))) == 51


def test_many_senders_at_once_lose_nothing(
    tmp_path: Path, bootstrap: str, topic_prefix: str
) -> None:
    with running(tmp_path, bootstrap, topic_prefix) as service:
        with ThreadPoolExecutor(8) as pool:
            documents = [bundle(condition(f"c{number}", meta=STAMP)) for number in range(200)]
            statuses = {answer.status_code for answer in pool.map(service.post, documents)}
        assert statuses == {202}
        found = records(bootstrap, topic_prefix)
        assert len(found) == 200
        assert len(facts(found)) == 200


def test_sigterm_finishes_what_was_begun(tmp_path: Path, bootstrap: str, topic_prefix: str) -> None:
    with running(tmp_path, bootstrap, topic_prefix) as service:
        statuses: list[int] = []

        def send() -> None:
            for number in range(10_000):
                try:
                    statuses.append(service.post(bundle(condition(f"c{number}"))).status_code)
                except httpx.HTTPError:
                    return

        sender = threading.Thread(target=send)
        sender.start()
        wait_until(lambda: len(statuses) > 20)
        service.process.signal(signal.SIGTERM)
        assert service.process.wait(20) == 0
        sender.join()
        assert set(statuses) == {202}
        assert len(facts(records(bootstrap, topic_prefix))) >= len(statuses)


def test_sigterm_amid_many_senders_loses_nothing_that_was_accepted(
    tmp_path: Path, bootstrap: str, topic_prefix: str
) -> None:
    """Every thread opens a connection for each submission, so that some meet the closing door."""
    accepted: list[str] = []
    others: list[int] = []
    turned_away: list[type[Exception]] = []
    with running(tmp_path, bootstrap, topic_prefix, CALLER_REQUESTS_PER_S="0") as service:
        address, headers = str(service.client.base_url), dict(service.client.headers)

        def send(thread: int) -> None:
            for number in range(10_000):
                name = f"c{thread}-{number}"
                document = bundle(*(condition(f"{name}-{n}", meta=STAMP) for n in range(5)))
                try:
                    answer = httpx.post(f"{address}/fhir", json=document, headers=headers)
                except httpx.HTTPError as error:
                    turned_away.append(type(error))
                    if isinstance(error, httpx.ConnectError):
                        return
                    continue
                if answer.status_code == 202:
                    accepted.append(name)
                else:
                    others.append(answer.status_code)

        threads = [threading.Thread(target=send, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(accepted) > 60)
        service.process.signal(signal.SIGTERM)
        assert service.process.wait(30) == 0
        for thread in threads:
            thread.join()
    assert set(others) <= {503}
    assert httpx.ConnectError in turned_away
    held = facts(records(bootstrap, topic_prefix))
    wanted = {pack_id(f"{name}-{n}") for name in accepted for n in range(5)}
    assert wanted <= set(held), "accepted, and not in the log"
    assert service.process.said("stopped")


def test_the_broker_goes_and_comes_back(tmp_path: Path, topic_prefix: str) -> None:
    with JvmBroker() as broker, running(tmp_path, broker.bootstrap, topic_prefix) as service:
        assert service.post(bundle(condition("c1", meta=STAMP))).status_code == 202
        for leave, come_back in (
            (broker.suspend, broker.resume),
            (broker.kill9, broker.restart),
        ):
            name = leave.__name__
            leave()
            refused = service.post(bundle(condition(name, meta=STAMP)))
            assert refused.status_code == 503
            assert refused.json()["issue"][0]["code"] == "transient"
            assert "sending it again is safe" in refused.text
            assert not service.ready()
            at_once = time.monotonic()
            assert service.post(bundle(condition(name, meta=STAMP))).status_code == 503
            assert time.monotonic() - at_once < 2, "no need to wait for a broker known to be away"
            come_back()
            wait_until(service.ready)
            again = service.post(bundle(condition(name, meta=STAMP)))
            assert again.status_code == 202
            assert "unchanged=0" in again.headers["Peerview-Receipt"], "nothing was remembered"
        held = facts(records(broker.bootstrap, topic_prefix))
        assert set(held) >= {b"c1"}
        assert len(held) == 3


def test_a_topic_of_another_size_is_said_and_nothing_is_sent(
    tmp_path: Path, bootstrap: str, topic_prefix: str
) -> None:
    with running(tmp_path, bootstrap, topic_prefix):
        pass
    with running(tmp_path, bootstrap, topic_prefix, ready=False, PARTITIONS="2") as service:
        wait_until(lambda: service.process.said("partitions"))
        assert service.client.get("/health/ready").json()["checks"]["broker"] is not None
        assert service.post(bundle(condition())).status_code == 503
