"""What one caller may send, and what the service holds of all."""

import asyncio
import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from peerview_common import codes
from peerview_common.problem import Problem
from peerview_common.settings import IngestSettings
from peerview_ingest import limits
from peerview_ingest.limits import Bucket, Limits, Rate
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.store import Store
from peerview_ingest.submission import Ingest
from peerview_tools.issuer import DevelopmentIssuer
from tests.ingest.builders import NOW, PRACTICE, bundle, condition, patient
from tests.ingest.conftest import MemoryLog, Service, settings


class Clock:
    def __init__(self) -> None:
        self.seconds = 50.0

    def __call__(self) -> float:
        return self.seconds


def few(**rest: float) -> IngestSettings:
    chosen = {
        "caller_requests_per_s": 2.0,
        "caller_requests_burst": 5.0,
        "caller_bytes_per_s": 1_000.0,
        "caller_bytes_burst": 10_000.0,
        **rest,
    }
    return IngestSettings(**chosen)


def refused(call: Any) -> Problem:
    with pytest.raises(Problem) as found:
        call()
    assert found.value.status == 429
    return found.value


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    allowance = Limits(few(), clock).of("feed", PRACTICE)
    for _ in range(5):
        allowance.begin()
    assert refused(allowance.begin).headers["Retry-After"] == "1"
    clock.seconds += 0.5
    allowance.begin()
    refused(allowance.begin)
    clock.seconds += 3_600
    for _ in range(5):
        allowance.begin()
    refused(allowance.begin)


async def test_bytes_owed_refuse_the_next_request_until_they_are_paid() -> None:
    clock = Clock()
    allowance = Limits(few(), clock).of("feed", PRACTICE)
    reading = asyncio.create_task(allowance.read(25_000))
    await asyncio.sleep(0)
    assert not reading.done(), "what is owed is waited for"
    assert refused(allowance.begin).headers["Retry-After"] == "15"
    clock.seconds += 15.1
    allowance.begin()
    reading.cancel()


async def test_a_stream_goes_on_at_its_callers_rate() -> None:
    allowance = Limits(few(caller_bytes_per_s=1e6, caller_bytes_burst=1e5)).of("feed", PRACTICE)
    began = time.monotonic()
    for _ in range(40):
        await allowance.read(10_000)
    assert time.monotonic() - began >= 0.29, "400 kB at 1 MB/s after a burst of 100 kB"


def test_callers_do_not_share() -> None:
    found = Limits(few(), Clock())
    for _ in range(5):
        found.of("feed", "A99001").begin()
    refused(found.of("feed", "A99001").begin)
    found.of("feed", "A99002").begin()
    found.of("other", "A99001").begin()


def test_no_limit_is_no_limit() -> None:
    allowance = Limits(few(caller_requests_per_s=0), Clock()).of("feed", PRACTICE)
    for _ in range(10_000):
        allowance.begin()


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CALLERS", 100)
    found = Limits(few(), Clock())
    for _ in range(5):
        found.of("busy", PRACTICE).begin()
    for number in range(1_000):
        found.of(f"feed {number}", PRACTICE)
        refused(found.of("busy", PRACTICE).begin)
    assert len(found) == 100


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    clock = Clock()
    bucket = Bucket(Rate(10, 20), clock)
    clock.seconds += 1_000
    bucket.spend(20)
    assert bucket.lacks(1) == pytest.approx(0.1)


# -- through the application


def service_with(tmp_path: Path, issuer: DevelopmentIssuer, **rest: Any) -> Service:
    chosen = settings(tmp_path, issuer, **rest)
    log = MemoryLog()
    store = Store(chosen.ingest_database)
    ingest = Ingest(chosen, store, log, codes.shipped(), DEMONSTRATION_KEY, lambda: NOW)
    return Service(ingest, log, issuer)


async def test_too_many_requests_of_one_caller_are_a_429(
    tmp_path: Path, issuer: DevelopmentIssuer
) -> None:
    service = service_with(tmp_path, issuer, caller_requests_per_s=0.01, caller_requests_burst=3)
    statuses = [(await service.send("POST", "/v1/heartbeat")).status_code for _ in range(4)]
    assert statuses == [202, 202, 202, 429]
    answer = await service.bundle(bundle(patient()))
    assert answer.json()["issue"][0]["code"] == "throttled"
    assert int(answer.headers["retry-after"]) > 30
    plain = await service.send("POST", "/v1/heartbeat")
    assert plain.json()["type"] == "urn:peerview:problem:throttled"
    service.token = service.token_for("A99002")
    assert (await service.send("POST", "/v1/heartbeat")).status_code == 202
    service.ingest.close()


@pytest.mark.parametrize("path", ["/fhir", "/v1/bulk"])
async def test_bytes_count_as_unpacked(
    tmp_path: Path, issuer: DevelopmentIssuer, path: str
) -> None:
    service = service_with(tmp_path, issuer, caller_bytes_per_s=1e6, caller_bytes_burst=2e5)
    packed = gzip.compress(bundle_bytes() + b" " * 600_000)
    assert len(packed) < 10_000
    began = time.monotonic()
    answer = await service.send("POST", path, content=packed, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 202
    assert time.monotonic() - began > 0.35
    service.ingest.close()


def bundle_bytes() -> bytes:
    return json.dumps(bundle(patient(), condition())).encode()


async def test_bodies_held_are_bounded_all_callers_together(
    tmp_path: Path, issuer: DevelopmentIssuer
) -> None:
    service = service_with(tmp_path, issuer, max_in_flight_bytes=1_000_000)
    part, go_on = b" " * 400_000, asyncio.Event()

    async def slowly() -> Any:
        yield part
        await go_on.wait()
        yield bundle_bytes()

    first = asyncio.create_task(service.send("POST", "/fhir", content=slowly()))
    second = asyncio.create_task(service.send("POST", "/fhir", content=slowly()))
    end = time.monotonic() + 60
    while held() < 800_000:
        assert time.monotonic() < end
        await asyncio.sleep(0.001)
    answer = await service.send("POST", "/fhir", content=part)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert held() == 800_000, "what was refused is given back"
    go_on.set()
    assert {(await first).status_code, (await second).status_code} == {202}
    assert held() == 0
    service.ingest.close()


async def test_one_alone_may_be_larger_than_the_bound(
    tmp_path: Path, issuer: DevelopmentIssuer
) -> None:
    service = service_with(tmp_path, issuer, max_in_flight_bytes=1_000)
    answer = await service.send("POST", "/fhir", content=bundle_bytes() + b" " * 50_000)
    assert answer.status_code == 202
    service.ingest.close()


def held() -> float:
    return REGISTRY.get_sample_value("peerview_ingest_held_bytes") or 0.0
