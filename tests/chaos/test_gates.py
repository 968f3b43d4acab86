"""A gate holds records, or everything, and lets them go on as they were."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from aiokafka.protocol.api import RequestHeader_v1
from aiokafka.protocol.produce import ProduceRequest_v7

from peerview_tools.jvm_broker import HOST
from tests.chaos.gates import Gate, Gates, written_to
from tests.support.waiting import wait_until

COMMIT = b"\x00\x08\x00\x02\x00\x00\x00\x07\x00\x01x"
OTHER = b"\x00\x12\x00\x00\x00\x00\x00\x07\x00\x01x"


def produce(text: bytes) -> bytes:
    topics = [("patient.state", [(3, text), (0, b"")]), ("indicator.values", [(1, b"one")])]
    request = ProduceRequest_v7(None, -1, 1000, topics)
    return RequestHeader_v1(request, correlation_id=7, client_id="who").encode() + request.encode()


def framed(request: bytes) -> bytes:
    return len(request).to_bytes(4, "big") + request


@dataclass
class Ends:
    """A client and what stands for the broker, with a gate in between."""

    gate: Gate
    client: socket.socket
    broker: socket.socket

    def __post_init__(self) -> None:
        self.broker.settimeout(10)
        self.client.settimeout(10)

    def arrives(self, request: bytes) -> None:
        found = b""
        while len(found) < len(framed(request)):
            more = self.broker.recv(len(framed(request)) - len(found))
            assert more, "the connection has ended"
            found += more
        assert found == framed(request)

    def nothing_comes(self, end: socket.socket) -> None:
        end.settimeout(0.2)
        with pytest.raises(TimeoutError):
            end.recv(1)
        end.settimeout(10)


@pytest.fixture
def ends() -> Iterator[Ends]:
    gates = Gates(2)
    gate = gates.gates[1]
    with socket.create_server((HOST, gate.listener_port)) as listener:
        client = socket.create_connection((HOST, gate.port))
        broker, _ = listener.accept()
        with client, broker:
            yield Ends(gate, client, broker)
        gates.close()


def test_a_request_tells_where_it_writes_to() -> None:
    expected = {("patient.state", 3), ("patient.state", 0), ("indicator.values", 1)}
    assert written_to(produce(b"records")) == expected


def test_held_records_wait_and_all_else_passes(ends: Ends) -> None:
    ends.client.sendall(framed(produce(b"first")))
    ends.arrives(produce(b"first"))
    ends.gate.hold()
    ends.client.sendall(framed(OTHER) + framed(produce(b"second")) + framed(OTHER))
    ends.arrives(OTHER)
    wait_until(lambda: ("patient.state", 3) in ends.gate.holding)
    ends.broker.sendall(b"answer")
    assert ends.client.recv(6) == b"answer"
    ends.nothing_comes(ends.broker)
    ends.gate.open()
    ends.arrives(produce(b"second"))
    ends.arrives(OTHER)
    assert not ends.gate.holding


def test_what_was_held_arrives_though_its_sender_is_gone(ends: Ends) -> None:
    ends.gate.hold()
    ends.client.sendall(framed(produce(b"late")))
    wait_until(lambda: ends.gate.holding)
    ends.gate.shut()
    ends.broker.sendall(b"nobody reads this")
    ends.client.close()
    ends.gate.open()
    ends.arrives(produce(b"late"))


def test_nothing_passes_a_gate_that_is_shut_until_it_is_opened(ends: Ends) -> None:
    ends.client.sendall(framed(OTHER))
    ends.arrives(OTHER)
    ends.gate.shut()
    ends.client.sendall(framed(OTHER) + framed(produce(b"later")))
    ends.broker.sendall(b"answer")
    # the records stand behind the other request
    assert not ends.gate.holding
    ends.nothing_comes(ends.broker)
    ends.nothing_comes(ends.client)
    ends.gate.open()
    ends.arrives(OTHER)
    ends.arrives(produce(b"later"))
    assert ends.client.recv(6) == b"answer"


def test_a_muted_gate_holds_answers_alone(ends: Ends) -> None:
    ends.gate.mute()
    ends.client.sendall(framed(produce(b"records")))
    ends.arrives(produce(b"records"))
    ends.broker.sendall(b"answer")
    ends.nothing_comes(ends.client)
    ends.gate.open()
    assert ends.client.recv(6) == b"answer"


def test_records_stop_when_a_commit_passes(ends: Ends) -> None:
    ends.gate.hold_at_commit(0.01)
    ends.client.sendall(framed(produce(b"before")) + framed(OTHER))
    ends.arrives(produce(b"before"))
    ends.arrives(OTHER)
    assert not ends.gate.records_stop
    ends.client.sendall(framed(COMMIT) + framed(produce(b"after")))
    ends.arrives(COMMIT)
    wait_until(lambda: ends.gate.records_stop and ends.gate.holding)
    ends.nothing_comes(ends.broker)
    ends.gate.open()
    ends.arrives(produce(b"after"))
    assert not ends.gate.records_stop


def test_what_is_dropped_never_arrives(ends: Ends) -> None:
    ends.gate.hold()
    ends.client.sendall(framed(produce(b"lost")))
    wait_until(lambda: ends.gate.holding)
    ends.gate.drop()
    assert ends.broker.recv(1) == b""
    assert ends.client.recv(1) == b""
    assert not ends.gate.holding
