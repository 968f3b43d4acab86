"""Nothing identifying passes: canaries in every field of everything that can be sent, and a search
of every byte that leaves: the log's records, answers, lines, metrics, the database, and what
compute makes of it all, dead letters among it.

A new route belongs into ``ENTRIES``: a test says so when it is not there.
"""

import contextlib
import gzip
import itertools
import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from kafka import KafkaConsumer, TopicPartition

from peerview_common import topics
from peerview_common.auth import TokenVerifier
from peerview_common.changes import ClockTicked, ReleaseCut
from peerview_ingest.app import make_app
from peerview_ingest.extracts.resources import wanted_columns
from peerview_ingest.store import Turn
from tests.compute.engine.feed import Feed
from tests.compute.engine.world import Worker, wait_until
from tests.ingest.builders import NOW, PRACTICE, bundle, condition, meta, observation, patient
from tests.ingest.canaries import (
    GIVEN,
    NAME,
    NUMBERS,
    PHONE,
    PROSE,
    Finder,
    Json,
    bundles,
    everything,
    named,
    rich,
)
from tests.ingest.computing import DAY
from tests.ingest.conftest import Service
from tests.ingest.extracts.drops import FIELDGATE
from tests.ingest.test_broker import running

Send = Callable[..., Awaitable[httpx.Response]]
Entry = Callable[[Send], AsyncIterator[httpx.Response]]
FINDER = Finder()
HEADERS = {
    "Idempotency-Key": f"{NAME} {NUMBERS[0]}",
    "traceparent": f"00-{NUMBERS[0]:0>32}-{NUMBERS[1]:0>16}-01",
    "tracestate": f"name={GIVEN}",
    "baggage": f"nhs={NUMBERS[0]}",
    "User-Agent": NAME,
    "Referer": f"https://example.org/{NAME}",
    "Cookie": f"who={NAME}",
    "X-Request-Id": NUMBERS[1],
    "X-Forwarded-For": PHONE,
}
CONTROLS = {"_pretty": NAME, "_summary": NUMBERS[0]}
"""Parameters that make no request conditional."""
CONDITION = {"If-Match": f'W/"{NUMBERS[0]}"', "If-None-Exist": f"identifier={NUMBERS[0]}"}
"""What makes a request conditional: it is refused, so all is also sent without."""
QUERY = {"identifier": NUMBERS[0], NAME: PROSE}


# -- everything that can be sent, by route


async def _bundles(send: Send) -> AsyncIterator[httpx.Response]:
    resources = everything()
    for start in range(0, len(resources), 250):
        yield await send("POST", "/fhir", json=bundle(*resources[start : start + 250]))
    for document in bundles():
        yield await send("POST", "/fhir", json=document)
    yield await send("POST", "/fhir", json=bundle(*named(), kind="transaction"))
    yield await send("POST", "/fhir", content=f'{{"a": {NAME}}}'.encode())
    yield await send("POST", "/fhir", content=b"\xff" + NAME.encode())
    yield await send("POST", "/fhir", json=rich())
    for document in (bundle(patient(NAME)), bundle(patient(NAME)), bundle(patient(GIVEN))):
        # taken, answered again, and refused
        yield await send("POST", "/fhir", json=document, headers={"Idempotency-Key": NAME})
    for header in ({"ODS-Code": NAME}, {"Content-Encoding": NAME}, {"Content-Encoding": "gzip"}):
        yield await send("POST", "/fhir", json=bundle(patient()), headers=header)


async def _both(send: Send, method: str, path: str, **rest: Any) -> AsyncIterator[httpx.Response]:
    """As it is taken, and as a conditional request, which is refused."""
    yield await send(method, path, params=CONTROLS, **rest)
    yield await send(method, path, headers=CONDITION, **rest)
    yield await send(method, path, **rest)


async def _resources(send: Send) -> AsyncIterator[httpx.Response]:
    # one of each kind of trouble a type: all of it goes by POST /fhir
    for document in itertools.islice(everything(), 0, None, 31):
        kind = document.get("resourceType")
        path = f"/fhir/{kind if isinstance(kind, str) else NAME}"
        async for answer in _both(send, "POST", path, json=document):
            yield answer
    for kind in (NAME, NUMBERS[0], "Patient"):
        async for answer in _both(send, "POST", f"/fhir/{kind}", json=rich()):
            yield answer


async def _updates(send: Send) -> AsyncIterator[httpx.Response]:
    for document in named():
        path = f"/fhir/{document['resourceType']}/{document['id']}"
        async for answer in _both(send, "PUT", path, json=document):
            yield answer
    for document in named()[:8]:
        path = f"/fhir/{document['resourceType']}/{PROSE}"
        async for answer in _both(send, "PUT", path, json=document):
            yield answer


async def _deletions(send: Send) -> AsyncIterator[httpx.Response]:
    for document in named():
        path = f"/fhir/{document['resourceType']}/{document['id']}"
        async for answer in _both(send, "DELETE", path):
            yield answer
    async for answer in _both(send, "DELETE", f"/fhir/{NAME}/{NUMBERS[0]}"):
        yield answer


async def _bulk(send: Send) -> AsyncIterator[httpx.Response]:
    lines = b"\n".join(json.dumps(each).encode() for each in [*everything(), *bundles()])
    yield await send("POST", "/v1/bulk", content=lines)
    packed = {"Content-Encoding": "gzip"}
    more = b"\n".join(json.dumps(each).encode() for each in named())
    yield await send("POST", "/v1/bulk", content=gzip.compress(more), headers=packed)
    for wrong in (f'{{"{NAME}', NAME, f"{NUMBERS[0]}\n{NUMBERS[1]}", json.dumps(rich()) + "\n["):
        yield await send("POST", "/v1/bulk", content=wrong.encode())
    yield await send("POST", "/v1/bulk", content=NAME.encode(), headers=packed)


async def _uploads(send: Send) -> AsyncIterator[httpx.Response]:
    """An upload from its beginning to its end, with what may be sent on the way."""
    for body in ({"full": True, NAME: PROSE}, {"full": NAME}, rich(), NAME):
        yield await send("POST", "/v1/uploads", json=body)
    begun = await send("POST", "/v1/uploads", json={"full": True})
    yield begun
    identity = begun.json()["upload"]
    lines = b"\n".join(json.dumps(each).encode() for each in [*named(), rich()])
    content = lines + f"\n{NAME}\n".encode()
    report = {"Accept": "application/x-ndjson"}
    params = {**QUERY, "upload": identity}
    yield await send("POST", "/v1/bulk", content=content, params=params)
    yield await send("POST", "/v1/bulk", content=content, params=params, headers=report)
    yield await send("GET", f"/v1/uploads/{identity}")
    yield await send("GET", f"/v1/uploads/{identity}/report")
    yield await send("POST", f"/v1/uploads/{identity}/complete", json={})


def _of_upload(method: str, rest: str = "") -> Entry:
    async def entry(send: Send) -> AsyncIterator[httpx.Response]:
        for name in (NAME, NUMBERS[0], PROSE):
            body = {"json": {"lines": 3, NAME: PROSE}} if method == "POST" else {}
            yield await send(method, f"/v1/uploads/{name}{rest}", **body)

    return entry


def _drop(planted: dict[str, str], header: bool = True) -> list[tuple[str, tuple[str, bytes, str]]]:
    """A supplier's files with a canary in every column that ``planted`` does not fill."""
    found = []
    for name, table in FIELDGATE.tables.given():
        columns = wanted_columns(table)
        canaries = itertools.cycle((NAME, NUMBERS[0], PROSE, PHONE))
        rows = [[planted.get(column, next(canaries)) for column in columns] for _ in range(4)]
        lines = [columns, *rows] if header else rows
        text = "".join(",".join(line) + "\r\n" for line in lines)
        found.append((name, (f"{NAME}.csv", text.encode("utf-8-sig"), "text/csv")))
    return found


async def _extracts(send: Send) -> AsyncIterator[httpx.Response]:
    """Canaries in every column, in rows that are read as far as may be and in rows that are not."""
    ours = {"OrganisationOds": PRACTICE, "Deleted": "False"}
    dated = {**ours, "EffectiveDate": "02/01/2026", "DateOfBirth": "01/05/1960"}
    keyed = {**dated, "PatientGuid": NAME, "DateOfRegistration": "01/05/2015"}
    for planted in ({}, ours, dated, keyed):
        for mode in ("full", "delta", NAME):
            params = {**QUERY, "mode": mode, "mapping": "fieldgate"}
            path = "/v1/extracts/2026-05-20"
            files = _drop(planted)
            yield await send("PUT", path, files=files, params=params, system="fieldgate")
            yield await send("PUT", path, files=files, params=params)
    params = {**QUERY, "mode": "full", "mapping": NAME}
    for day in (NUMBERS[0], NAME, "2026-05-20"):
        yield await send("PUT", f"/v1/extracts/{day}", files=_drop({}, header=False), params=params)
    yield await send("PUT", "/v1/extracts/2026-05-20", content=f"{NAME} {NUMBERS[0]}".encode())


def _of_extract(method: str, rest: str) -> Entry:
    async def entry(send: Send) -> AsyncIterator[httpx.Response]:
        for day in ("2026-05-20", NUMBERS[0], NAME):
            path = f"/v1/extracts/{day}{rest}"
            for params in ({**QUERY, "source": NAME}, QUERY):
                yield await send(method, path, scope="ingest:confirm", params=params)

    return entry


async def _heartbeat(send: Send) -> AsyncIterator[httpx.Response]:
    yield await send("POST", "/v1/heartbeat", content=NAME.encode())


def _patients(method: str, path: str, **more: Any) -> Entry:
    async def entry(send: Send) -> AsyncIterator[httpx.Response]:
        who = [NAME, NUMBERS[0], f"{GIVEN} {NAME}", PHONE]
        for body in (
            {"patients": who, **more},
            {"patients": who, "system": NAME, **more},
            {"patients": who, NAME: PROSE, **more},
            {"patients": [rich()], **more},
            {"patients": NAME, **more},
            rich(),
            NAME,
        ):
            yield await send(method, path, json=body, scope="pseudonyms:read", roles=["clinical"])
            yield await send(method, path, json=body, scope="patients:write")
        yield await send(
            method, path, content=f'{{"patients": {NAME}'.encode(), scope="patients:write"
        )

    return entry


def _rekeying(method: str, rest: str = "") -> Entry:
    async def entry(send: Send) -> AsyncIterator[httpx.Response]:
        for practice in (PRACTICE, NAME, NUMBERS[0]):
            for body in ({"unmatched": "empty"}, {"unmatched": NAME}, rich()):
                path = f"/v1/rekeyings/{practice}{rest}"
                yield await send(method, path, json=body, scope="ingest:operate")

    return entry


def _plain(method: str, path: str) -> Entry:
    async def entry(send: Send) -> AsyncIterator[httpx.Response]:
        yield await send(method, path)

    return entry


ENTRIES: dict[tuple[str, str], Entry] = {
    ("POST", "/fhir"): _bundles,
    ("POST", "/fhir/{kind}"): _resources,
    ("PUT", "/fhir/{kind}/{id_text}"): _updates,
    ("DELETE", "/fhir/{kind}/{id_text}"): _deletions,
    ("GET", "/fhir/metadata"): _plain("GET", "/fhir/metadata"),
    ("POST", "/v1/bulk"): _bulk,
    ("HEAD", "/fhir/metadata"): _plain("HEAD", "/fhir/metadata"),
    ("POST", "/v1/uploads"): _uploads,
    ("GET", "/v1/uploads/{identity}"): _of_upload("GET"),
    ("GET", "/v1/uploads/{identity}/report"): _of_upload("GET", "/report"),
    ("POST", "/v1/uploads/{identity}/complete"): _of_upload("POST", "/complete"),
    ("DELETE", "/v1/uploads/{identity}"): _of_upload("DELETE"),
    ("PUT", "/v1/extracts/{day}"): _extracts,
    ("GET", "/v1/extracts"): _plain("GET", "/v1/extracts"),
    ("POST", "/v1/extracts/{day}/confirm"): _of_extract("POST", "/confirm"),
    ("DELETE", "/v1/extracts/{day}/held"): _of_extract("DELETE", "/held"),
    ("POST", "/v1/heartbeat"): _heartbeat,
    # beginning a re-keying comes before what is sent to both keys, its end behind all
    ("POST", "/v1/rekeyings/{ods}"): _rekeying("POST"),
    ("GET", "/v1/rekeyings/{ods}"): _rekeying("GET"),
    ("DELETE", "/v1/rekeyings/{ods}"): _rekeying("DELETE"),
    ("POST", "/v1/pseudonyms"): _patients("POST", "/v1/pseudonyms"),
    ("PUT", "/v1/objections"): _patients("PUT", "/v1/objections", objects=True),
    ("POST", "/v1/erasures"): _patients("POST", "/v1/erasures"),
    ("POST", "/v1/rekeyings/{ods}/finish"): _rekeying("POST", "/finish"),
    ("GET", "/metrics"): _plain("GET", "/metrics"),
    ("GET", "/health/live"): _plain("GET", "/health/live"),
    ("GET", "/health/ready"): _plain("GET", "/health/ready"),
}
"""By method and route. Add what can be sent by a new route here."""


async def _astray(send: Send) -> AsyncIterator[httpx.Response]:
    """Where there is no route, and callers who are nobody."""
    for method, path in (
        ("GET", f"/fhir/Patient/{NUMBERS[0]}"),
        ("GET", f"/{NAME}"),
        ("PATCH", f"/fhir/Patient/{NAME}"),
        (NAME.upper(), "/fhir"),
        ("POST", f"/v1/{NUMBERS[0]}"),
        ("GET", f"/fhir?name={NAME}"),
    ):
        yield await send(method, path)
    for authorization in (f"Bearer {NAME}", f"Bearer {NAME}.{NUMBERS[0]}.x", NAME, f"Basic {NAME}"):
        headers = {"Authorization": authorization}
        yield await send("POST", "/fhir", json=bundle(patient(NAME)), headers=headers)
    yield await send("POST", "/fhir", json=bundle(patient(NAME)), scope="none")


# -- the search


def clean(data: bytes | str, where: str) -> None:
    found = FINDER.find(data)
    if found:
        text = data if isinstance(data, str) else data.decode("latin-1")
        raise AssertionError(f"{where}: {found}: {_around(text)}")


def _around(text: str) -> str:
    for n in range(0, len(text), 200):
        if FINDER.find(text[n : n + 400]):
            return text[n : n + 400]
    return text[:400]


class Answers:
    """Sends with canaries in headers and the query, and searches the answers."""

    def __init__(self, client: httpx.AsyncClient, issuer: Any) -> None:
        self.client, self.issuer = client, issuer
        self.statuses: dict[tuple[str, str], set[int]] = {}
        self.count = 0

    async def send(
        self,
        method: str,
        path: str,
        *,
        scope: str = "ingest:write",
        roles: Sequence[str] = (),
        system: str = "demo",
        headers: dict[str, str] | None = None,
        **rest: Any,
    ) -> httpx.Response:
        token = self.issuer.token(
            subject="canary-test", practices=[PRACTICE], scope=scope, roles=roles, system=system
        )
        self.count += 1
        # another key each time: a repeated one would be answered out of what is kept
        key = f"{HEADERS['Idempotency-Key']} {self.count}"
        sent = {**HEADERS, "Idempotency-Key": key, "Authorization": f"Bearer {token}"}
        return await self.client.request(
            method, path, **{"params": QUERY, **rest}, headers=sent | (headers or {})
        )

    async def search(self) -> None:
        for route, entry in {**ENTRIES, ("*", "astray"): _astray}.items():
            statuses = self.statuses.setdefault(route, set())
            async for answer in entry(self.send):
                statuses.add(answer.status_code)
                clean(answer.content, f"the answer of {route}")
                clean(str(answer.headers.raw), f"a header of {route}")


@contextlib.contextmanager
def ingest(folder: Path, bootstrap: str, prefix: str, output: Path) -> Iterator[Any]:
    """As a process that tells all there is to tell, with what it writes in a file."""
    with output.open("wb") as out:
        options = {"LOG_LEVEL": "debug", "DELIVERY_TIMEOUT_MS": "20000"}
        with running(folder, bootstrap, prefix, stdout=out, **options) as service:
            yield service


def records(bootstrap: str, prefix: str) -> Iterator[tuple[str, Any]]:
    """Every record of every topic of ours."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        for name in sorted(each for each in consumer.topics() if each.startswith(prefix)):
            places = [TopicPartition(name, n) for n in consumer.partitions_for_topic(name)]
            consumer.assign(places)
            ends = consumer.end_offsets(places)
            consumer.seek_to_beginning(*places)
            while any(consumer.position(place) < ends[place] for place in places):
                for batch in consumer.poll(timeout_ms=500).values():
                    for record in batch:
                        yield name.removeprefix(prefix), record
    finally:
        consumer.close()


@pytest.mark.broker
async def test_no_canary_leaves_by_any_way(
    tmp_path: Path, bootstrap: str, topic_prefix: str
) -> None:
    folder, output = tmp_path / "ingest", tmp_path / "ingest.out"
    feed = Feed(bootstrap, topic_prefix, 3)
    feed.send_everywhere(ClockTicked("t", DAY, 0))
    feed.flush()
    (tmp_path / "compute").mkdir()
    options = {"PEERVIEW_LOG_LEVEL": "debug"}
    worker = Worker(bootstrap, topic_prefix, 3, tmp_path / "compute", **options)
    try:
        with ingest(folder, bootstrap, topic_prefix, output) as service:
            # a connection each: an idle one may be lost in the moment it is used
            anew = httpx.Limits(max_keepalive_connections=0)
            address = service.client.base_url
            async with httpx.AsyncClient(base_url=address, timeout=120, limits=anew) as client:
                answers = Answers(client, service.issuer)
                await answers.search()
                sent = await answers.send("POST", "/v1/bulk", content=_too_much())
                assert sent.status_code == 202
            feed.send_everywhere(ReleaseCut("c", 1, DAY, 0))
            feed.flush()
            worker.until_ready()
            wait_until(
                lambda: worker.metric("peerview_compute_dead_letters_total") > 0, "a dead letter"
            )
            wait_until(lambda: worker.metric("peerview_compute_snapshots_total") > 0, "a snapshot")
            clean(worker.get("/metrics")[1], "compute's metrics")
            database(folder, "while it runs")
        clean(output.read_bytes(), "ingest's standard output")
        clean("".join(service.process.text), "ingest's log")
        assert any('"audit"' in line for line in service.process.text), "it did say something"
        database(folder, "after its end")
    finally:
        worker.kill()
        feed.close()
    clean(json.dumps(worker.lines), "compute's log")
    seen: dict[str, int] = {}
    for topic, record in records(bootstrap, topic_prefix):
        seen[topic] = seen.get(topic, 0) + 1
        for part, data in (("key", record.key), ("value", record.value)):
            clean(data or b"", f"a {part} of {topic}")
        headers = b"\n".join(name.encode() + b"=" + value for name, value in record.headers)
        clean(headers, f"a header of {topic}")
    produced = (topics.CHANGES, topics.STATE, topics.DEAD_LETTERS, topics.VALUES, topics.SNAPSHOTS)
    assert seen.keys() >= {topic.name for topic in produced}, "each was looked at"
    told = {route: sorted(statuses) for route, statuses in answers.statuses.items()}
    for route in (
        ("POST", "/fhir"),
        ("PUT", "/fhir/{kind}/{id_text}"),
        ("POST", "/v1/bulk"),
        ("PUT", "/v1/extracts/{day}"),
    ):
        assert 202 in told[route], told
        assert not {500, 503} & set(told[route]), told
    assert 200 in told["POST", "/v1/pseudonyms"], told
    assert 202 in told["POST", "/v1/erasures"], told
    assert 202 in told["PUT", "/v1/objections"], told
    assert {200, 202, 400, 409} <= set().union(*(told[r] for r in told if "rekey" in r[1])), told


def database(folder: Path, when: str) -> None:
    files = sorted(folder.glob("ingest.db*"))
    assert files
    for path in files:
        clean(path.read_bytes(), f"{path.name} {when}")


def _too_much() -> bytes:
    """More of one patient than compute can keep, with canaries: its part becomes a dead letter."""
    stamp = meta("2026-01-01T00:00:00Z")
    lines = (
        observation(f"{n}-{NAME}", patient=f"{NAME} junior", meta=stamp, note=[{"text": PROSE}])
        for n in range(18_000)
    )
    return b"\n".join(json.dumps(each).encode() for each in lines)


# -- a fault of ours, whatever it quotes


async def test_a_fault_of_ours_quotes_nothing(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(f"{NAME} {NUMBERS[0]} {PROSE}")

    for name in ("knowledge", "commit", "organisations"):
        with monkeypatch.context() as patch:
            patch.setattr(Turn, name, broken)
            answer = await service.bundle(bundle(condition(NAME)))
            assert answer.status_code == 500
            clean(answer.content, "the answer")
    captured = capsys.readouterr()
    clean(captured.out + captured.err, "what is written")


# -- the test itself


def test_every_route_is_in_the_table(service: Service) -> None:
    app = make_app(service.ingest, TokenVerifier.from_settings(service.ingest.settings))
    there = {
        (method.upper(), path) for path, found in app.openapi()["paths"].items() for method in found
    }
    there.add(("GET", "/metrics"))  # left out of the description
    assert there == ENTRIES.keys(), "add what can be sent by a new route to ENTRIES"


def test_every_kind_of_resource_is_planted_in_every_way() -> None:
    found: Json = {}
    for document in everything():
        kind = document.get("resourceType")
        if isinstance(kind, str):
            found[kind] = found.get(kind, 0) + 1
    assert all(
        found[kind] > 40
        for kind in (
            "Appointment", "Condition", "Encounter", "EpisodeOfCare", "Immunization",
            "MedicationRequest", "Observation", "Organization", "Patient", "Procedure",
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    "leak",
    [
        NAME, NAME.upper(), "quillfeather, z.", NAME[::-1].lower(), NUMBERS[0], "999 000 0018",
        "999-054-8609", "Wobblegate%20Wynd", "%5A%65%62%65%64%65%65", "5a656265646565",
        "WmViZWRlZS1RdWlsbGZlYXRoZXI=", "xx WmViZWRlZS1RdWlsbGZlYXRoZXI",
        b"\xcf" + (9990000018).to_bytes(8, "big"), (9990548609).to_bytes(8, "little"),
        "Zebedee".encode("utf-16-le"), "\\u005a\\u0065\\u0062\\u0065\\u0064\\u0065\\u0065",
    ],
)  # fmt: skip
def test_the_search_finds_a_canary_in_any_form(leak: str | bytes) -> None:
    data = leak if isinstance(leak, bytes) else leak.encode()
    assert FINDER.find(b"before " + data + b" behind"), leak
    assert FINDER.find(data)


def test_the_search_finds_plain_hashes() -> None:
    for program, secret in itertools.product(("md5sum", "sha256sum", "sha1sum"), NUMBERS):
        done = subprocess.run([program], input=secret.encode(), capture_output=True, check=True)
        digest = done.stdout.split()[0]
        assert FINDER.find(b"x" + digest), program
        assert FINDER.find(bytes.fromhex(digest.decode())), program


def test_the_search_finds_nothing_where_nothing_is() -> None:
    assert FINDER.find(json.dumps([condition(), patient(), NOW]) * 1_000) == []
