"""Uploads: gone on with after whatever happened, counted once, and ended."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text
from structlog.testing import capture_logs

from peerview_common import codes
from peerview_common.changes import BackfillCompleted
from peerview_ingest.bulk import lines as bulk_lines
from peerview_ingest.bulk import uploads as bulk_uploads
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.store import Store
from peerview_ingest.submission import Ingest
from peerview_tools.issuer import DevelopmentIssuer
from tests.ingest.builders import NOW, PRACTICE, condition, meta, patient
from tests.ingest.canaries import NUMBERS, everything
from tests.ingest.conftest import MemoryLog, Service, settings
from tests.ingest.test_bulk import WRONG, fail_after, ndjson, report_of
from tests.ingest.test_canaries import clean
from tests.ingest.test_code_lists import NEW, Serve, serve, with_codes
from tests.ingest.test_submission import P1, state

__all__ = ["serve"]

STAMP = meta("2026-01-01T00:00:00Z")
TEN = [condition(f"c{number}", meta=STAMP) for number in range(10)]


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_lines, "GROUP_LINES", 2)


async def begin(service: Service, **declared: Any) -> str:
    answer = await service.send("POST", "/v1/uploads", json=declared)
    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert answer.headers["location"] == f"/v1/uploads/{found['upload']}"
    assert (found["state"], found["next_line"]) == ("open", 1)
    return str(found["upload"])


async def send(
    service: Service, upload: str, content: bytes, from_line: int | None = None
) -> httpx.Response:
    params = {"upload": upload} | ({} if from_line is None else {"from_line": str(from_line)})
    return await service.send("POST", "/v1/bulk", params=params, content=content)


async def show(service: Service, upload: str) -> dict[str, Any]:
    answer = await service.send("GET", f"/v1/uploads/{upload}")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def until_sending(service: Service, upload: str, *, sending: bool = True) -> None:
    for _ in range(10_000):
        if (await show(service, upload))["sending"] is sending:
            return
    raise AssertionError("it did not come to be")


async def complete(service: Service, upload: str, **declared: Any) -> httpx.Response:
    return await service.send("POST", f"/v1/uploads/{upload}/complete", json=declared)


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def backfills(service: Service) -> list[BackfillCompleted]:
    return [each for each in service.log.events() if isinstance(each, BackfillCompleted)]


async def test_requests_are_logged_and_measured_under_their_whole_route(service: Service) -> None:
    with capture_logs() as lines:
        upload = await begin(service)
        await service.send("GET", f"/v1/uploads/{upload}")
        await send(service, upload, ndjson(patient()))
    routes = [line["route"] for line in lines if line["event"] == "request"]
    assert routes == ["/v1/uploads", "/v1/uploads/{identity}", "/v1/bulk"]


async def test_an_upload_in_two_parts(service: Service) -> None:
    upload = await begin(service, lines=12)
    first = await send(service, upload, ndjson(patient(), *TEN[:3]) + b"\n")
    assert (first.status_code, first.json()["next_line"]) == (202, 6)
    assert first.json()["submission"] == upload
    second = await send(service, upload, ndjson(*TEN[3:9], WRONG), from_line=6)
    assert second.json()["next_line"] == 13
    found = await show(service, upload)
    assert (found["accepted"], found["rejected"], found["next_line"]) == (10, 1, 13)
    assert found["position"] == {"partition": 0, "offset": len(service.log.records) - 1}
    assert not found["sending"]
    done = await complete(service, upload)
    assert (done.status_code, done.json()["state"]) == (200, "completed")
    assert {each.submission for each in service.log.sets()} == {upload}


async def test_what_broke_off_goes_on_and_counts_once(service: Service) -> None:
    upload = await begin(service)
    publish = service.log.publish
    fail_after(service.log, 2)
    broken = await send(service, upload, ndjson(*TEN))
    assert broken.status_code == 503
    found = await show(service, upload)
    assert (found["next_line"], found["accepted"], found["sending"]) == (5, 4, False)
    service.log.publish = publish
    rest = await send(service, upload, ndjson(*TEN[4:]), from_line=5)
    assert (rest.json()["accepted"], rest.json()["next_line"]) == (6, 11)
    found = await show(service, upload)
    assert (found["accepted"], found["unchanged"]) == (10, 0)
    assert len(state(service)[P1]) == 10


async def test_lines_that_are_committed_are_passed_over(service: Service) -> None:
    upload = await begin(service)
    await send(service, upload, ndjson(*TEN[:5]))
    records = len(service.log.records)
    for _ in range(2):
        whole = await send(service, upload, ndjson(*TEN))
        assert (whole.status_code, whole.json()["next_line"]) == (202, 11)
    assert len(service.log.records) == records + 3
    assert (await show(service, upload))["accepted"] == 10


async def test_a_gap_is_refused_with_the_line_to_go_on_with(service: Service) -> None:
    upload = await begin(service)
    await send(service, upload, ndjson(*TEN[:2]))
    answer = await send(service, upload, ndjson(*TEN[5:]), from_line=6)
    assert problem(answer) == (409, "upload-gap")
    assert answer.json()["next_line"] == 3
    assert len(service.log.sets()) == 1


async def test_the_second_of_two_senders_is_refused(service: Service) -> None:
    upload = await begin(service)
    service.log.gate = asyncio.Event()
    first = asyncio.create_task(send(service, upload, ndjson(*TEN)))
    await until_sending(service, upload)
    for answer in (
        await send(service, upload, ndjson(*TEN)),
        await complete(service, upload),
        await service.send("DELETE", f"/v1/uploads/{upload}"),
    ):
        assert problem(answer) == (409, "upload-held")
        assert int(answer.headers["retry-after"]) >= 1
    service.log.gate.set()
    assert (await first).json()["accepted"] == 10
    assert (await complete(service, upload)).status_code == 200


@pytest.fixture
async def replica(service: Service) -> AsyncIterator[Service]:
    """Another process, as it were: it has database and log in common with the first."""
    first = service.ingest
    store = Store(first.settings.ingest_database)
    ingest = Ingest(
        first.settings, store, service.log, first.codes, DEMONSTRATION_KEY, first.now
    )  # fmt: skip
    found = Service(ingest, service.log, service.issuer)
    yield found
    await found.client.aclose()
    ingest.close()


async def test_a_sender_that_was_overtaken_counts_nothing(
    service: Service, replica: Service
) -> None:
    upload = await begin(service)
    service.log.gate = asyncio.Event()
    stalled = asyncio.create_task(send(service, upload, ndjson(*TEN)))
    await until_sending(service, upload)
    await until_sending(service, upload, sending=False)  # the clock goes on at every look
    publish, service.log.gate = service.log.gate, None
    taken = await send(replica, upload, ndjson(*TEN[:4]))
    assert taken.json()["next_line"] == 5
    publish.set()
    assert problem(await stalled) == (409, "upload-lost")
    found = await show(service, upload)
    assert (found["next_line"], found["accepted"]) == (5, 4)
    rest = await send(service, upload, ndjson(*TEN))
    assert (rest.json()["next_line"], rest.json()["accepted"]) == (11, 6)


async def test_an_upload_is_its_senders_alone(service: Service) -> None:
    upload = await begin(service)
    own = service.token
    for token in (service.token_for("A99002"), service.token_for(PRACTICE, system="other")):
        service.token = token
        for answer in (
            await send(service, upload, ndjson(*TEN)),
            await service.send("GET", f"/v1/uploads/{upload}"),
            await service.send("GET", f"/v1/uploads/{upload}/report"),
            await service.send("DELETE", f"/v1/uploads/{upload}"),
            await complete(service, upload),
        ):
            assert problem(answer) == (404, "no-such-upload")
    service.token = service.token_for(PRACTICE, scope="share:read")
    assert (await service.send("POST", "/v1/uploads")).status_code == 403
    service.token = own
    assert problem(await send(service, "nonsense", b"{}")) == (404, "no-such-upload")
    assert service.log.records == []


async def test_an_upload_expires_and_leaves_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await begin(service)
    await send(service, upload, ndjson(WRONG))
    monkeypatch.setattr(bulk_uploads, "KEPT_MS", 0)
    gone = await service.send("GET", f"/v1/uploads/{upload}")
    assert problem(gone) == (404, "no-such-upload")
    monkeypatch.setattr(bulk_uploads, "KEPT_MS", 1)
    await service.send("POST", "/v1/uploads")
    with service.ingest.store.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM uploads")).scalar() == 1
        assert connection.execute(text("SELECT count(*) FROM upload_refusals")).scalar() == 0


async def test_deleting_an_upload_keeps_what_it_brought(service: Service) -> None:
    upload = await begin(service)
    await send(service, upload, ndjson(*TEN))
    assert (await service.send("DELETE", f"/v1/uploads/{upload}")).status_code == 204
    assert (await service.send("GET", f"/v1/uploads/{upload}")).status_code == 404
    assert len(state(service)[P1]) == 10


async def test_there_is_an_end_to_open_uploads(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peerview_ingest.bulk.uploads.MAX_OPEN", 2)
    first, _ = await begin(service), await begin(service)
    assert problem(await service.send("POST", "/v1/uploads")) == (409, "too-many-uploads")
    await complete(service, first)
    await begin(service)


async def test_the_report_is_kept_within_bounds_and_says_so(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_uploads, "MAX_REFUSALS", 5)
    monkeypatch.setattr("peerview_ingest.bulk.upload_routes.MAX_REFUSALS", 5)
    upload = await begin(service)
    await send(service, upload, ndjson(*TEN[:3], *[WRONG] * 7, b"SECRET".decode()))
    answer = await service.send("GET", f"/v1/uploads/{upload}/report")
    assert answer.headers["content-type"] == "application/x-ndjson"
    *kept, last = report_of(answer.text)
    assert [each["line"] for each in kept] == [4, 5, 6, 7, 8]
    assert {each["place"] for each in kept} == {"Condition.onsetDateTime"}
    assert all(each["reason"] and each["code"] for each in kept)
    assert (last["summary"]["refusals"], last["summary"]["not_kept"]) == (8, 3)
    assert "SECRET" not in answer.text


async def test_canaries_reach_no_upload(service: Service) -> None:
    upload = await begin(service)
    answers = [
        await send(service, upload, ndjson(*everything()) + f'{{"{NUMBERS[0]}'.encode()),
        await service.send("GET", f"/v1/uploads/{upload}"),
        await service.send("GET", f"/v1/uploads/{upload}/report"),
        await service.send("POST", "/v1/uploads", json={NUMBERS[0]: NUMBERS[0]}),
        await service.send("GET", f"/v1/uploads/{NUMBERS[0]}"),
        await complete(service, upload, lines=3, without=[NUMBERS[0]]),
    ]
    assert answers[1].json()["refusals"] >= 5
    for answer in answers:
        clean(answer.content, "an upload's answer")
    with service.ingest.store.engine.connect() as connection:
        for table in ("uploads", "upload_refusals"):
            clean(repr(connection.execute(text(f"SELECT * FROM {table}")).all()), table)


@pytest.mark.parametrize(
    "declared",
    [[], {"full": "yes"}, {"lines": -1}, {"SECRET": 1}, {"lines": True}, {"code_list": 5}],
)
async def test_what_is_declared_wrongly_is_a_400(service: Service, declared: Any) -> None:
    answer = await service.send("POST", "/v1/uploads", content=json.dumps(declared).encode())
    assert problem(answer) == (400, "structure")
    assert "SECRET" not in answer.text
    assert problem(await service.send("POST", "/v1/uploads", content=b"{")) == (400, "structure")


async def test_from_line_needs_an_upload(service: Service) -> None:
    answer = await service.send("POST", "/v1/bulk", params={"from_line": "2"}, content=b"{}")
    assert problem(answer) == (400, "upload-needed")
    upload = await begin(service)
    assert (await send(service, upload, b"{}", from_line=0)).status_code == 400


async def test_a_code_list_may_be_insisted_on(service: Service) -> None:
    version = codes.shipped().version
    await begin(service, code_list=version)
    answer = await service.send("POST", "/v1/uploads", json={"code_list": "other"})
    assert problem(answer) == (409, "other-code-list")
    assert answer.json()["code_list"] == version


# -- the end of a full submission


async def test_a_full_upload_is_told_to_the_log_when_all_of_it_is_there(service: Service) -> None:
    upload = await begin(service, full=True)
    await send(service, upload, ndjson(*TEN[:5]))
    assert problem(await complete(service, upload)) == (400, "lines-needed")
    early = await complete(service, upload, lines=10)
    assert problem(early) == (409, "upload-incomplete")
    assert early.json()["next_line"] == 6
    assert backfills(service) == []
    await send(service, upload, ndjson(*TEN[5:]), from_line=6)
    done = await complete(service, upload, lines=10)
    assert done.status_code == 200
    assert (done.json()["backfill_completed"], done.json()["waits_for"]) == (True, [])
    (event,) = backfills(service)
    assert (event.practice, event.codes) == (PRACTICE, codes.shipped().version)
    assert isinstance(service.log.events()[-1], BackfillCompleted)
    again = await complete(service, upload, lines=10)
    assert again.json() == done.json()
    assert len(backfills(service)) == 1
    assert problem(await send(service, upload, ndjson(*TEN))) == (409, "upload-completed")


async def test_an_upload_that_is_not_full_or_holds_nothing_is_not_told(service: Service) -> None:
    plain = await begin(service)
    await send(service, plain, ndjson(*TEN))
    assert not (await complete(service, plain, lines=10)).json()["backfill_completed"]
    empty = await begin(service, full=True)
    await send(service, empty, ndjson(WRONG))
    assert problem(await complete(service, empty, lines=1)) == (409, "nothing-accepted")
    assert backfills(service) == []


async def test_completing_is_tried_again_when_the_log_was_away(service: Service) -> None:
    upload = await begin(service, full=True, lines=10)
    await send(service, upload, ndjson(*TEN))
    service.log.away = "gone"
    assert (await complete(service, upload)).status_code == 503
    assert (await show(service, upload))["state"] == "open"
    service.log.away = None
    assert (await complete(service, upload)).json()["backfill_completed"]
    assert len(backfills(service)) == 1


async def test_a_full_upload_does_not_go_on_under_another_code_list(serve: Serve) -> None:
    first = serve(codes.shipped())
    upload, plain = await begin(first, full=True), await begin(first)
    await send(first, upload, ndjson(*TEN[:4]))
    second = serve(with_codes(NEW))
    for answer in (
        await send(second, upload, ndjson(*TEN)),
        await complete(second, upload, lines=4),
    ):
        assert problem(answer) == (409, "other-code-list")
    assert (await send(second, plain, ndjson(*TEN))).status_code == 202
    upload = await begin(second, full=True)
    await send(second, upload, ndjson(*TEN))
    assert (await complete(second, upload, lines=10)).json()["backfill_completed"]
    assert [each.codes for each in backfills(second)] == [with_codes(NEW).version]


async def full(service: Service, source: str, **declared: Any) -> dict[str, Any]:
    service.token = service.token_for(PRACTICE, system=source)
    upload = await begin(service, full=True)
    await send(service, upload, ndjson(*TEN))
    found: dict[str, Any] = (await complete(service, upload, lines=10, **declared)).json()
    return found | {"upload": upload}


async def test_the_last_of_a_practices_sources_ends_its_waiting(serve: Serve) -> None:
    old = serve(codes.shipped())
    for source in ("one", "two", "gone"):
        old.token = old.token_for(PRACTICE, system=source)
        await old.send("POST", "/v1/bulk", content=ndjson(*TEN))
    service = serve(with_codes(NEW))
    service.token = service.token_for(PRACTICE, system="three")  # begins under the list in use
    await service.send("POST", "/v1/bulk", content=ndjson(*TEN))
    found = await full(service, "one")
    assert (found["waits_for"], found["backfill_completed"]) == (["gone", "two"], False)
    found = await full(service, "two")
    assert (found["state"], found["waits_for"]) == ("completed", ["gone"])
    assert backfills(service) == []
    again = (await complete(service, found["upload"], without=["gone"])).json()
    assert (again["waits_for"], again["backfill_completed"]) == ([], True)
    (event,) = backfills(service)
    assert event.codes == with_codes(NEW).version


# -- several replicas


async def test_an_upload_goes_on_at_another_replica(tmp_path: Any, postgres_url: str) -> None:
    name = f"uploads_{uuid.uuid4().hex[:8]}"
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    issuer = DevelopmentIssuer(tmp_path / "issuer")
    database = postgres_url.rpartition("/")[0] + f"/{name}"
    chosen = settings(tmp_path, issuer, ingest_database=database, upload_lease_s=30)
    log = MemoryLog()
    clock = iter(range(NOW, NOW + 10**9))
    replicas = [
        Ingest(
            chosen,
            Store(database),
            log,
            codes.shipped(),
            DEMONSTRATION_KEY,
            lambda: next(clock),
        )
        for _ in range(2)
    ]
    one, two = (Service(ingest, log, issuer) for ingest in replicas)
    try:
        upload = await begin(one, full=True, lines=12)
        publish = log.publish
        fail_after(log, 2)
        assert (await send(one, upload, ndjson(*TEN, WRONG, WRONG))).status_code == 503
        log.publish = publish  # type: ignore[method-assign]
        log.gate = asyncio.Event()
        first = asyncio.create_task(send(two, upload, ndjson(*TEN[4:], WRONG, WRONG), 5))
        await until_sending(two, upload)
        assert problem(await send(one, upload, ndjson(*TEN))) == (409, "upload-held")
        log.gate.set()
        assert (await first).json()["next_line"] == 13
        assert (await show(one, upload))["accepted"] == 10
        found = (await complete(one, upload)).json()
        assert (found["backfill_completed"], found["refusals"]) == (True, 2)
        *kept, _ = report_of((await one.send("GET", f"/v1/uploads/{upload}/report")).text)
        assert [each["line"] for each in kept] == [11, 12]
        assert len(state(one)[P1]) == 10
    finally:
        for ingest in replicas:
            ingest.close()
