"""The HTTP client: kept connections, refusals that say why, bodies that are refused half-way."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from peerview_tools.client import Client, ServiceError


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    connections: ClassVar[set[int]] = set()

    def do_GET(self) -> None:
        self.connections.add(self.client_address[1])
        if self.path == "/problem":
            errors = [{"place": "body.id", "reason": "Field required"}]
            self.answer(422, {"title": "not valid", "detail": "no good", "errors": errors})
        elif self.path == "/outcome":
            issue = {"expression": ["Patient.birthDate"], "diagnostics": "is no date"}
            self.answer(400, {"resourceType": "OperationOutcome", "issue": [issue]})
        elif self.path == "/text":
            self.answer(502, "bad gateway")
        elif self.path == "/close":
            self.answer(200, {"authorization": self.headers["Authorization"]})
            self.close_connection = True
        else:
            self.answer(200, {"authorization": self.headers["Authorization"]})

    def do_POST(self) -> None:
        # refuses at once, and reads none of the body
        self.answer(413, {"title": "too large", "detail": "over the limit"})
        self.close_connection = True

    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Handler.connections = set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_one_connection_is_kept_and_the_token_is_asked_for_each_time(url: str) -> None:
    tokens = iter("abc")
    with Client(url, lambda: next(tokens)) as client:
        found = [client.get("/")["authorization"] for _ in range(3)]
    assert found == ["Bearer a", "Bearer b", "Bearer c"]
    assert len(Handler.connections) == 1


def test_a_connection_that_was_closed_while_idle_is_opened_again(url: str) -> None:
    with Client(url, lambda: "t") as client:
        assert client.get("/close") == client.get("/close") == client.get("/")


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/problem", 422, "no good; body.id: Field required"),
        ("/outcome", 400, "Patient.birthDate: is no date"),
        ("/text", 502, "bad gateway"),
    ],
)
def test_a_refusal_says_why(url: str, path: str, status: int, reason: str) -> None:
    with Client(url) as client, pytest.raises(ServiceError) as refused:
        client.get(path)
    assert refused.value.status == status
    assert f"gave {status}" in str(refused.value)
    assert reason in str(refused.value)


def test_a_long_body_that_is_refused_early_gives_the_refusal(url: str) -> None:
    chunks = (b"x" * 65_536 for _ in range(400))
    with Client(url) as client:
        answer = client.request("POST", "/", chunks)
    assert answer.status == 413
    assert answer.json()["detail"] == "over the limit"


def test_nobody_there_is_said_with_the_address() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(ServiceError) as refused:
        client.get("/x")
    assert refused.value.status == 0
    assert "http://127.0.0.1:9/x: nothing answers at this address" in str(refused.value)


@pytest.mark.parametrize("address", ["", "localhost:80", "ftp://x", "http://"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="not an http address"):
        Client(address)
