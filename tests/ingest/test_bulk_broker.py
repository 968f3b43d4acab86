"""Lines and uploads by the service as its own process, before a real broker: memory, broken
connections, kill -9, and reports that come while one still sends."""

import json
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import zstandard

from peerview_common import changes, cloudevents
from peerview_common.changes import BackfillCompleted, ChangeSet
from peerview_ingest.bulk.lines import GROUP_LINES
from peerview_tools.bench.bulk_memory import peak_bytes
from peerview_tools.bench.lines import stream
from tests.ingest.builders import PRACTICE, condition, meta
from tests.ingest.test_broker import Running, facts, records, running
from tests.support.waiting import wait_until

pytestmark = pytest.mark.broker
STAMP = meta("2026-01-01T00:00:00Z")
SHORT = {"UPLOAD_LEASE_S": "0.5"}
MEMORY = 150_000_000


def line(number: int) -> bytes:
    """Every other one without a stamp of its own: its version is then the moment of receipt."""
    stamp = {"meta": STAMP} if number % 2 else {}
    return json.dumps(condition(f"c{number}", **stamp)).encode() + b"\n"


def lines(first: int, after: int) -> bytes:
    return b"".join(line(number) for number in range(first, after))


def begin(service: Running, **declared: Any) -> str:
    answer = service.client.post("/v1/uploads", json=declared)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["upload"])


def show(service: Running, upload: str) -> dict[str, Any]:
    found: dict[str, Any] = service.client.get(f"/v1/uploads/{upload}").json()
    return found


def send(service: Running, upload: str, content: Any, from_line: int = 1) -> httpx.Response:
    params = {"upload": upload, "from_line": from_line}
    return service.client.post("/v1/bulk", params=params, content=content, timeout=120)


def go_on(service: Running, upload: str, total: int) -> httpx.Response:
    """As a sender does after a break: ask, then send from there, again while it is still held."""
    answers: list[httpx.Response] = []

    def sent() -> bool:
        first = show(service, upload)["next_line"]
        answers.append(send(service, upload, lines(first, total + 1), first))
        return answers[-1].status_code != 409

    wait_until(sent, seconds=60)
    return answers[-1]


def connection(service: Running) -> socket.socket:
    where = urlsplit(str(service.client.base_url))
    return socket.create_connection((where.hostname, where.port), timeout=60)


def head(service: Running, path: str, **headers: str) -> bytes:
    """The head of a request whose body comes in chunks."""
    token = service.client.headers["authorization"]
    given = {"Host": "ingest", "Authorization": token, "Transfer-Encoding": "chunked", **headers}
    told = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"POST {path} HTTP/1.1\r\n{told}\r\n".encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.mark.parametrize(
    "size", [30_000_000, pytest.param(2_000_000_000, marks=[pytest.mark.long])], ids=["30MB", "2GB"]
)
@pytest.mark.timeout(3_600)
def test_memory_does_not_grow_with_the_stream(
    tmp_path: Path, bootstrap: str, topic_prefix: str, size: int
) -> None:
    def packed() -> Iterator[bytes]:
        stage = zstandard.ZstdCompressor().compressobj()
        for piece in stream(PRACTICE, size):
            yield stage.compress(piece)
            sent[0] += piece.count(b"\n")
        yield stage.flush()

    sent = [0]
    with running(tmp_path, bootstrap, topic_prefix) as service:
        answer = service.client.post(
            "/v1/bulk", content=packed(), headers={"Content-Encoding": "zstd"}, timeout=3_600
        )
        assert answer.status_code == 202, answer.text
        found = answer.json()
        assert found["accepted"] + found["dropped"] == sent[0]
        assert peak_bytes(service.process.pid) <= MEMORY


def test_a_broken_connection_leaves_an_upload_to_go_on_with(
    tmp_path: Path, bootstrap: str, topic_prefix: str
) -> None:
    total = 4 * GROUP_LINES
    with running(tmp_path, bootstrap, topic_prefix, **SHORT) as service:
        upload = begin(service, full=True, lines=total)
        with connection(service) as wire:
            wire.sendall(head(service, f"/v1/bulk?upload={upload}"))
            wire.sendall(chunk(lines(1, 2 * GROUP_LINES + 100)))
            wait_until(lambda: show(service, upload)["next_line"] == 2 * GROUP_LINES + 1)
        done = go_on(service, upload, total)
        assert done.json()["next_line"] == total + 1
        found = service.client.post(f"/v1/uploads/{upload}/complete").json()
        assert (found["accepted"], found["unchanged"]) == (total, 0)
        assert found["backfill_completed"]
        sets, ends = split(records(bootstrap, topic_prefix))
        assert len(ends) == 1
        counted = Counter(
            fact.id for each in sets for change in each.patients for fact in change.facts
        )
        assert len(counted) == total
        assert set(counted.values()) == {1}, "nothing was sent to the log twice"


def split(found: list[Any]) -> tuple[list[ChangeSet], list[BackfillCompleted]]:
    events = [
        changes.decode(cloudevents.header(record.headers, "ce_type"), record.value)
        for record in found
    ]
    sets = [event for event in events if isinstance(event, ChangeSet)]
    return sets, [event for event in events if isinstance(event, BackfillCompleted)]


def test_killed_between_acknowledgement_and_commit_it_goes_on_and_counts_once(
    tmp_path: Path, bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = 4 * GROUP_LINES
    monkeypatch.setenv("DIE_AT_COMMIT", "3")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    dying = "tests.ingest.dying"
    with running(tmp_path, bootstrap, topic_prefix, module=dying, **SHORT) as service:
        upload = begin(service, full=True, lines=total)
        with pytest.raises(httpx.TransportError):
            send(service, upload, lines(1, total + 1))
        assert service.process.wait(30) == -signal.SIGKILL
    acknowledged, _ = split(records(bootstrap, topic_prefix))
    assert len(facts_of(acknowledged)) == 3 * GROUP_LINES, "the third group is in the log"
    with running(tmp_path, bootstrap, topic_prefix, **SHORT) as service:
        found = show(service, upload)
        assert found["next_line"] == 2 * GROUP_LINES + 1, "and was not remembered"
        assert found["accepted"] == 2 * GROUP_LINES
        assert go_on(service, upload, total).json()["next_line"] == total + 1
        found = service.client.post(f"/v1/uploads/{upload}/complete").json()
        assert (found["accepted"], found["unchanged"]) == (total, 0)
        assert found["backfill_completed"]
        again = service.client.post("/v1/bulk", content=lines(1, total + 1), timeout=120).json()
        assert (again["accepted"], again["unchanged"]) == (total, total)
    sets, ends = split(records(bootstrap, topic_prefix))
    assert len(ends) == 1
    counted = facts_of(sets)
    assert len(counted) == total, "each counts once: versions of one id are one fact"
    assert Counter(counted.values()) == {1: 3 * GROUP_LINES, 2: GROUP_LINES}
    assert len(facts([r for r in records(bootstrap, topic_prefix) if is_set(r)])) == total


def is_set(record: Any) -> bool:
    return cloudevents.header(record.headers, "ce_type") == cloudevents.EventType.CHANGES


def facts_of(sets: list[ChangeSet]) -> Counter[bytes]:
    return Counter(fact.id for each in sets for change in each.patients for fact in change.facts)


def test_the_report_comes_while_one_still_sends(
    tmp_path: Path, bootstrap: str, topic_prefix: str
) -> None:
    wrong = json.dumps(condition("wrong", onsetDateTime="2020-02-31")).encode() + b"\n"
    with (
        running(tmp_path, bootstrap, topic_prefix) as service,
        connection(service) as wire,
        wire.makefile("rb") as answer,
    ):
        wire.sendall(head(service, "/v1/bulk", Accept="application/x-ndjson"))
        wire.sendall(chunk(wrong + lines(1, GROUP_LINES)))
        assert b" 202 " in answer.readline()
        while answer.readline() != b"\r\n":
            pass
        first = report_line(answer)
        assert (first["line"], first["place"]) == (1, "Condition.onsetDateTime")
        wire.sendall(chunk(lines(1, 10) + wrong) + b"0\r\n\r\n")
        assert report_line(answer)["line"] == GROUP_LINES + 10
        receipt = report_line(answer)["receipt"]
        assert (receipt["accepted"], receipt["rejected"]) == (GROUP_LINES + 8, 2)


def report_line(answer: Any) -> dict[str, Any]:
    """One chunk, which is one line here."""
    size = int(answer.readline(), 16)
    found: dict[str, Any] = json.loads(answer.read(size))
    assert answer.readline() == b"\r\n"
    return found
