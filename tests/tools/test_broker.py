"""The broker that demo, bench and tests run on, by the means this machine has."""

import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from xml.etree import ElementTree

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)

from peerview_tools import jvm_broker
from peerview_tools.broker import BrokerUnavailableError, GivenBroker, JvmBroker, chosen_kind
from peerview_tools.jvm_broker import HOST, free_port
from peerview_tools.kafka_jars import POM
from peerview_tools.kafka_settings import KAFKA_IMAGE, KAFKA_VERSION, as_container_environment
from tests.support.brokers import TestBroker
from tests.support.databases import TestDatabase
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def jvm() -> Iterator[JvmBroker]:
    with JvmBroker() as broker:
        yield broker


def create_topic(bootstrap: str, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.create_topics(
            {topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True
        )
    finally:
        admin.close()


def produce(bootstrap: str, topic: str, value: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    try:
        producer.send(topic, value).get(timeout=30)
    finally:
        producer.close()


def consume(bootstrap: str, topic: str, count: int, **login: str) -> list[bytes]:
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        consumer_timeout_ms=20_000,
        **login,
    )
    try:
        return [record.value for _, record in zip(range(count), consumer, strict=False)]
    finally:
        consumer.close()


@pytest.mark.broker
def test_the_shared_broker_keeps_a_record(bootstrap: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}greetings"
    create_topic(bootstrap, topic)
    produce(bootstrap, topic, b"hello")
    assert consume(bootstrap, topic, 1) == [b"hello"]


@pytest.mark.broker
def test_the_shared_broker_is_the_one_that_was_chosen(broker: TestBroker) -> None:
    assert broker.kind == chosen_kind()


@pytest.mark.broker
def test_what_was_acknowledged_survives_a_kill(jvm: JvmBroker, topic_prefix: str) -> None:
    topic = f"{topic_prefix}kept"
    create_topic(jvm.bootstrap, topic)
    produce(jvm.bootstrap, topic, b"before")
    killed, where = jvm.pid, jvm.bootstrap
    jvm.kill9()
    assert jvm.pid is None
    jvm.start()
    assert jvm.pid != killed
    assert jvm.bootstrap == where
    produce(jvm.bootstrap, topic, b"after")
    assert consume(jvm.bootstrap, topic, 2) == [b"before", b"after"]


@pytest.mark.broker
def test_a_suspended_broker_answers_again_when_resumed(jvm: JvmBroker) -> None:
    jvm.suspend()
    try:
        with pytest.raises(Exception, match=r"(?i)timeout|timed out|no response|unavailable"):
            GivenBroker(jvm.bootstrap, seconds=1)
    finally:
        jvm.resume()
    assert GivenBroker(jvm.bootstrap, seconds=20).bootstrap == jvm.bootstrap


@pytest.mark.broker
def test_data_in_a_given_directory_outlive_the_broker(tmp_path: Path, topic_prefix: str) -> None:
    topic = f"{topic_prefix}kept"
    with JvmBroker(tmp_path) as first:
        create_topic(first.bootstrap, topic)
        produce(first.bootstrap, topic, b"kept")
    with JvmBroker(tmp_path) as second:
        assert consume(second.bootstrap, topic, 1) == [b"kept"]


@pytest.mark.broker
def test_a_user_reads_only_what_an_acl_grants(topic_prefix: str) -> None:
    granted, other = f"{topic_prefix}granted", f"{topic_prefix}other"
    with JvmBroker(users={"viewer": "secret"}) as broker:
        for topic in (granted, other):
            create_topic(broker.bootstrap, topic)
            produce(broker.bootstrap, topic, b"released")
        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
        resource = ResourcePattern(ResourceType.TOPIC, granted)
        permit = ACLPermissionType.ALLOW
        admin.create_acls([ACL("User:viewer", "*", ACLOperation.READ, permit, resource)])
        admin.close()
        login = {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_plain_username": "viewer",
            "sasl_plain_password": "secret",
        }
        assert broker.login_bootstrap is not None
        assert consume(broker.login_bootstrap, granted, 1, **login) == [b"released"]
        viewer = KafkaAdminClient(bootstrap_servers=broker.login_bootstrap, **login)
        assert viewer.list_topics() == [granted]
        viewer.close()


@pytest.mark.broker
def test_the_broker_ends_even_when_its_owner_is_killed(tmp_path: Path) -> None:
    owner_code = textwrap.dedent(
        """
        import os, signal
        from peerview_tools.broker import JvmBroker
        broker = JvmBroker()
        print(broker.pid, broker.data_dir, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    owner = subprocess.run([sys.executable, "-c", owner_code], capture_output=True, check=False)
    pid, data_dir = owner.stdout.decode().split()
    wait_until(lambda: not runs(int(pid)), "the broker ends", 10)
    wait_until(lambda: not Path(data_dir).exists(), "its data go", 10)


def runs(pid: int) -> bool:
    """Whether the process lives; one that waits to be reaped by its parent does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


@pytest.mark.broker
def test_a_broker_that_cannot_start_says_why() -> None:
    with pytest.raises(BrokerUnavailableError, match="Unable to parse nonsense"):
        JvmBroker(properties={"advertised.listeners": "nonsense"})


@pytest.mark.broker
def test_a_broker_whose_port_was_just_taken_looks_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server((HOST, 0)) as somebody:
        ports = chain([somebody.getsockname()[1]], iter(jvm_broker.free_port, None))
        monkeypatch.setattr(jvm_broker, "free_port", lambda: next(ports))
        with JvmBroker() as broker:
            assert broker.pid is not None
            assert "Address already in use" in broker.log_file.read_text()


@pytest.mark.broker
def test_a_broker_that_ends_at_once_says_why_without_waiting(jvm: JvmBroker) -> None:
    taken = int(jvm.bootstrap.rpartition(":")[2])
    began = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match="Address already in use"):
        JvmBroker(port=taken)
    assert time.monotonic() - began < 30


def test_a_given_broker_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BrokerUnavailableError, match="no answer from Kafka"):
        GivenBroker(f"127.0.0.1:{free_port()}", seconds=0.2)


def test_a_given_broker_comes_before_all_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEERVIEW_KAFKA", "kafka.example:9092")
    monkeypatch.setenv("PEERVIEW_BROKER", "jvm")
    assert chosen_kind() == "given"


@pytest.mark.parametrize("kind", ["container", "jvm"])
def test_one_kind_can_be_insisted_on(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PEERVIEW_KAFKA", raising=False)
    monkeypatch.setenv("PEERVIEW_BROKER", kind)
    assert chosen_kind() == kind


def test_an_unknown_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PEERVIEW_KAFKA", raising=False)
    monkeypatch.setenv("PEERVIEW_BROKER", "pigeon")
    with pytest.raises(BrokerUnavailableError, match="pigeon"):
        chosen_kind()


def test_jars_and_image_are_of_one_version() -> None:
    version = ElementTree.parse(POM).find(".//{*}properties/{*}kafka.version")
    assert version is not None
    assert version.text == KAFKA_VERSION
    assert KAFKA_IMAGE.endswith(f":{KAFKA_VERSION}")


def test_settings_reach_a_container_by_its_own_rule() -> None:
    assert as_container_environment({"log.dirs": "/x"}) == {"KAFKA_LOG_DIRS": "/x"}


@pytest.mark.broker
def test_the_shared_database_answers(postgres: TestDatabase) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    with sqlalchemy.create_engine(postgres.url).connect() as connection:
        assert connection.execute(sqlalchemy.text("select 1")).scalar() == 1
