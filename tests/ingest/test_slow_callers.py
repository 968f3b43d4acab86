"""Callers who are slow, silent or endless, on real sockets against the server as it is run."""

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from peerview_common import codes, patience, serving
from peerview_common.auth import TokenVerifier
from peerview_ingest.app import make_app
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.store import Store
from peerview_ingest.submission import Ingest
from peerview_tools.issuer import DevelopmentIssuer
from tests.ingest.builders import NOW, PRACTICE, bundle, patient
from tests.ingest.conftest import MemoryLog, settings

SOON_S = 0.4
"""The limits, shortened: what is cut off is cut off after this."""
PLENTY_S = 10.0


class Served:
    def __init__(self, server: serving.Server, port: int, token: str, log: MemoryLog) -> None:
        self.server, self.port, self.log = server, port, log
        self.head = (
            f"POST /fhir HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/fhir+json\r\n"
        ).encode()

    def connect(self) -> socket.socket:
        found = socket.create_connection(("127.0.0.1", self.port), timeout=PLENTY_S)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return found

    def request(self, body: bytes, length: int | None = None) -> bytes:
        size = len(body) if length is None else length
        return self.head + f"Content-Length: {size}\r\n\r\n".encode() + body

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)


@pytest.fixture
def served(
    tmp_path: Path, issuer: DevelopmentIssuer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    for name in ("HEADERS_S", "UNREAD_S"):
        monkeypatch.setattr(serving, name, SOON_S)
    monkeypatch.setattr(serving, "KEEP_ALIVE_S", 1)
    # where the kernel knows it, it would hide what the server does itself
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT", raising=False)
    monkeypatch.setattr(patience, "GRACE_S", SOON_S)
    chosen = settings(tmp_path, issuer)
    log = MemoryLog()
    store = Store(chosen.ingest_database)
    ingest = Ingest(chosen, store, log, codes.shipped(), DEMONSTRATION_KEY, lambda: NOW)
    app = make_app(ingest, TokenVerifier.from_settings(chosen))
    listener = serving.listen("127.0.0.1", 0)
    server = serving.server(app, app.state.stopping.begin)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    token = issuer.token(subject="feed", practices=[PRACTICE], scope="ingest:write")
    yield Served(server, listener.getsockname()[1], token, log)
    server.should_exit = True
    thread.join(PLENTY_S)
    assert not thread.is_alive()


def until_closed(connection: socket.socket) -> tuple[bytes, float]:
    """All that still comes, and the seconds until the other side closes."""
    began, found = time.monotonic(), b""
    try:
        while piece := connection.recv(65_536):
            found += piece
    except ConnectionError:
        pass
    return found, time.monotonic() - began


def answer(connection: socket.socket) -> tuple[int, bytes]:
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(65_536)
    head, _, body = found.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    assert length is not None
    while len(body) < int(length[1]):
        body += connection.recv(65_536)
    return int(head.split()[1]), body


GOOD = json.dumps(bundle(patient())).encode()


def test_a_good_request_is_taken_and_the_connection_kept(served: Served) -> None:
    with served.connect() as connection:
        for _ in range(3):
            connection.sendall(served.request(GOOD))
            assert answer(connection)[0] == 202
        _, seconds = until_closed(connection)
    assert 0.5 < seconds < PLENTY_S / 2, "an idle connection is closed after the keep-alive time"


@pytest.mark.parametrize("begun", [b"", b"POST /fhir HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_headers_that_do_not_come_end_the_connection(served: Served, begun: bytes) -> None:
    with served.connect() as connection:
        connection.sendall(begun)
        found, seconds = until_closed(connection)
    assert found == b""
    assert SOON_S * 0.5 < seconds < PLENTY_S / 2


def test_headers_that_drip_end_the_connection_all_the_same(served: Served) -> None:
    began = time.monotonic()
    with served.connect() as connection:
        connection.sendall(b"POST /fhir HTTP/1.1\r\nHost: x\r\n")
        with pytest.raises(ConnectionError):
            while time.monotonic() - began < PLENTY_S:
                connection.sendall(b"X-Slow: a\r\n")
                time.sleep(0.02)
    assert time.monotonic() - began < PLENTY_S / 2


def test_empty_lines_between_requests_are_no_sign_of_life(served: Served) -> None:
    began = time.monotonic()
    with served.connect() as connection:
        connection.sendall(served.request(GOOD))
        assert answer(connection)[0] == 202
        with pytest.raises(ConnectionError):
            while time.monotonic() - began < PLENTY_S:
                connection.sendall(b"\r\n")
                time.sleep(0.02)
    assert time.monotonic() - began < PLENTY_S / 2


def test_endless_headers_end_the_connection_at_once(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "HEADERS_S", 60.0)
    with served.connect() as connection:
        sent = 0
        with pytest.raises(ConnectionError):
            connection.sendall(b"POST /fhir HTTP/1.1\r\nHost: x\r\n")
            while sent < 50_000_000:
                sent += connection.send(b"X-Long: " + b"a" * 16_000 + b"\r\n")
    assert sent < 20_000_000


def test_a_body_that_stops_is_a_408(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(served.request(GOOD[:-5], len(GOOD)))
        found, seconds = until_closed(connection)
    assert found.startswith(b"HTTP/1.1 408")
    assert b'"code":"timeout"' in found
    assert seconds < PLENTY_S / 2
    assert served.log.records == []


def test_a_body_that_drips_is_a_408(served: Served) -> None:
    """It is never silent for long, and would take a day."""
    began = time.monotonic()
    with served.connect() as connection:
        connection.sendall(served.request(b"{", 20_000))
        connection.settimeout(0.02)
        found = b""
        while not found and time.monotonic() - began < PLENTY_S:
            try:
                connection.sendall(b" ")
                found = connection.recv(65_536)
            except TimeoutError:
                continue
    assert found.startswith(b"HTTP/1.1 408")


def test_a_refused_body_that_goes_on_dripping_is_cut_off(served: Served) -> None:
    """It is refused for its token at once; the rest of its body must not keep the connection."""
    began = time.monotonic()
    with served.connect() as connection:
        head = b"POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n"
        connection.sendall(head)
        assert answer(connection)[0] == 401
        with pytest.raises(ConnectionError):
            while time.monotonic() - began < PLENTY_S:
                connection.sendall(b" ")
                time.sleep(0.02)
    assert time.monotonic() - began < PLENTY_S / 2


def test_an_answer_that_nobody_reads_ends_the_connection(served: Served) -> None:
    """Requests follow each other down the pipe, and no answer is ever read."""
    with served.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        many = json.dumps(bundle(*({"x": number} for number in range(20_000)))).encode()
        connection.settimeout(PLENTY_S)
        with pytest.raises(ConnectionError):
            for _ in range(200):
                connection.sendall(served.request(many))
    end = time.monotonic() + PLENTY_S
    while served.connections:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_caller_who_hangs_up_leaves_nothing_behind(served: Served) -> None:
    for _ in range(20):
        connection = served.connect()
        connection.sendall(served.request(GOOD[:40], len(GOOD)))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
    end = time.monotonic() + PLENTY_S
    while served.connections or served.server.server_state.tasks:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert served.log.records == []


def test_many_silent_callers_keep_nobody_else_out(served: Served) -> None:
    silent = [served.connect() for _ in range(300)]
    with served.connect() as connection:
        connection.sendall(served.request(GOOD))
        assert answer(connection)[0] == 202
    for each in silent:
        each.close()


def test_a_body_under_way_when_the_service_stops_gets_a_503_in_time(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "GRACE_S", 60.0)
    monkeypatch.setattr(patience, "STOPPING_S", 0.2)
    line = json.dumps(patient()).encode() + b"\n"
    began = time.monotonic()
    with served.connect() as connection:
        head = served.head.replace(b"/fhir", b"/v1/bulk") + b"Transfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head)
        while not served.server.server_state.tasks:
            assert time.monotonic() - began < PLENTY_S
        served.server.handle_exit(15, None)
        connection.settimeout(0.02)
        found = b""
        while not found and time.monotonic() - began < PLENTY_S:
            connection.sendall(b"%x\r\n%s\r\n" % (len(line), line))
            with contextlib.suppress(TimeoutError):
                found = connection.recv(65_536)
    assert found.startswith(b"HTTP/1.1 503")
    assert b"sending it again is safe" in found
    with pytest.raises(ConnectionRefusedError):
        served.connect()
