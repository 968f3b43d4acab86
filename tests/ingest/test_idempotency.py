"""One key is one request: also when two come at once, also at two replicas."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from peerview_common import codes
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.store import Store
from peerview_ingest.submission import Ingest
from peerview_tools.issuer import DevelopmentIssuer
from tests.ingest.builders import NOW, bundle, condition, meta, patient
from tests.ingest.conftest import MemoryLog, Service, settings

KEY = {"Idempotency-Key": "one"}
STAMP = meta("2026-01-01T00:00:00Z")


async def until_both_wait() -> None:
    """Both requests are under way; neither can be answered before the log's gate opens."""
    end = time.monotonic() + 60
    while REGISTRY.get_sample_value("peerview_http_requests_under_way", {"service": "ingest"}) != 2:
        assert time.monotonic() < end
        await asyncio.sleep(0.002)


async def test_two_of_the_same_at_once_are_taken_once(service: Service) -> None:
    service.log.gate = asyncio.Event()
    document = bundle(patient(), condition(meta=STAMP))
    both = [asyncio.create_task(service.bundle(document, headers=KEY)) for _ in range(2)]
    await until_both_wait()
    service.log.gate.set()
    first, second = await asyncio.gather(*both)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    assert sum("idempotent-replayed" in each.headers for each in (first, second)) == 1
    assert len(service.log.records) == 1


async def test_of_two_different_ones_at_once_one_is_refused_and_not_written(
    service: Service,
) -> None:
    service.log.gate = asyncio.Event()
    documents = [bundle(patient(), condition(f"c{number}", meta=STAMP)) for number in range(2)]
    both = [asyncio.create_task(service.bundle(each, headers=KEY)) for each in documents]
    await until_both_wait()
    service.log.gate.set()
    answers = await asyncio.gather(*both)
    assert sorted(each.status_code for each in answers) == [202, 422]
    (record,) = service.log.sets()
    kept = [each.status_code for each in answers].index(202)
    ids = {fact.id for change in record.patients for fact in change.facts}
    assert f"c{kept}".encode() in ids
    assert f"c{1 - kept}".encode() not in ids


async def test_the_first_may_fail_and_the_second_is_taken(service: Service) -> None:
    service.log.away = "gone"
    document = bundle(patient())
    assert (await service.bundle(document, headers=KEY)).status_code == 503
    service.log.away = None
    again = await service.bundle(document, headers=KEY)
    assert again.status_code == 202
    assert "idempotent-replayed" not in again.headers


async def test_what_was_refused_may_come_corrected_under_the_same_key(service: Service) -> None:
    def put(birth: str) -> Awaitable[httpx.Response]:
        return service.send(
            "PUT", "/fhir/Patient/123", json=patient("123", birthDate=birth), headers=KEY
        )

    assert (await put("1960-02-31")).status_code == 422
    taken = await put("1960-02-29")
    assert (taken.status_code, "Idempotent-Replayed" in taken.headers) == (202, False)
    again = await put("1960-02-29")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    for name in ("Location", "Last-Modified", "Peerview-Receipt", "Peerview-Positions"):
        assert again.headers[name] == taken.headers[name]


async def test_one_key_at_two_addresses_is_refused(service: Service) -> None:
    assert (await service.send("POST", "/v1/heartbeat", headers=KEY)).status_code == 202
    assert (await service.bundle(bundle(patient()), headers=KEY)).status_code == 422
    delete = await service.send("DELETE", "/fhir/Condition/c1", headers=KEY)
    assert delete.status_code == 422
    assert len(service.log.records) == 1


async def test_a_heartbeat_is_repeated_too(service: Service) -> None:
    first = await service.send("POST", "/v1/heartbeat", headers=KEY)
    again = await service.send("POST", "/v1/heartbeat", headers=KEY)
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    other = await service.send("POST", "/v1/heartbeat", headers={"Idempotency-Key": "two"})
    assert other.json() != first.json()
    assert len(service.log.records) == 2


async def test_keys_of_two_practices_have_nothing_to_do_with_each_other(service: Service) -> None:
    assert (await service.bundle(bundle(patient()), headers=KEY)).status_code == 202
    service.token = service.token_for("A99002")
    assert (await service.bundle(bundle(patient("p9")), headers=KEY)).status_code == 202


async def test_a_key_is_at_most_so_long(service: Service) -> None:
    for path in ("/fhir", "/v1/heartbeat"):
        answer = await service.send(
            "POST", path, json=bundle(patient()), headers={"Idempotency-Key": "k" * 256}
        )
        assert answer.status_code == 400


@pytest.fixture
async def replicas(
    tmp_path: Path, issuer: DevelopmentIssuer, postgres_url: str
) -> AsyncIterator[list[Service]]:
    """Two services that share a database and a log."""
    name = "ingest_" + tmp_path.name.replace("-", "_")[-30:].lower()
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    url = make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    log = MemoryLog()
    made = []
    for _ in range(2):
        chosen = settings(tmp_path, issuer, ingest_database=url)
        store = Store(url)
        ingest = Ingest(chosen, store, log, codes.shipped(), DEMONSTRATION_KEY, lambda: NOW)
        made.append(Service(ingest, log, issuer))
    yield made
    for each in made:
        await each.client.aclose()
        each.ingest.close()
    with admin.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    admin.dispose()


async def test_two_replicas_take_one_of_the_same(replicas: list[Service]) -> None:
    log: Any = replicas[0].log
    log.gate = asyncio.Event()
    document = bundle(patient(), condition(meta=STAMP))
    both = [asyncio.create_task(each.bundle(document, headers=KEY)) for each in replicas]
    await until_both_wait()
    log.gate.set()
    first, second = await asyncio.gather(*both)
    assert first.json() == second.json()
    assert len(log.records) == 1
