"""Lines of any length: how they are cut into groups, and what is told of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from peerview_ingest import body
from peerview_ingest.bulk import lines as bulk_lines
from peerview_ingest.bulk.lines import Group, groups
from peerview_ingest.publisher import BrokerAwayError, Position
from tests.ingest.builders import PRACTICE, bundle, condition, observation, patient
from tests.ingest.conftest import MemoryLog, Service

REPORT = {"Accept": "application/x-ndjson"}


def ndjson(*documents: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in documents)


def report_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def cut(data: bytes, sizes: list[int], **rest: Any) -> list[Group]:
    async def chunks() -> AsyncIterator[bytes]:
        start = 0
        for size in sizes:
            yield data[start : start + size]
            start += size
        yield data[start:]

    return [group async for group in groups(chunks(), longest=rest.pop("longest", 50), **rest)]


pieces = st.lists(st.sampled_from([b"{}", b"", b" ", b"abc", b"x" * 60, b"\r"]), max_size=30)


@given(pieces, st.booleans(), st.lists(st.integers(0, 20)), st.integers(1, 40), st.integers(1, 50))
async def test_groups_hold_every_wanted_line_once_however_it_comes(
    parts: list[bytes], ended: bool, sizes: list[int], first: int, wanted: int
) -> None:
    data = b"\n".join(parts) + (b"\n" if ended and parts else b"")
    found = await cut(data, sizes, first=first, wanted=wanted)
    expected = [
        (number, line if len(line) <= 50 else None)
        for number, line in enumerate(data.split(b"\n"), first)
        if number >= wanted and line.strip()
    ]
    assert [pair for group in found for pair in group.lines] == expected
    total = data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    if found:
        assert found[-1].after == first + total
    else:
        assert first + total <= max(first, wanted)


async def test_a_group_ends_by_its_lines_or_by_its_bytes() -> None:
    most = bulk_lines.GROUP_LINES
    short = await cut(b"{}\n" * (2 * most + 3), [])
    assert [len(group.lines) for group in short] == [most, most, 3]
    assert [group.after for group in short] == [most + 1, 2 * most + 1, 2 * most + 4]
    third = b"x" * (bulk_lines.GROUP_BYTES // 3) + b"\n"
    long = await cut(third * 8, [], longest=10**6)
    assert [len(group.lines) for group in long] == [3, 3, 2]


async def test_a_line_that_is_too_long_is_refused_and_the_others_are_taken(
    service: Service,
) -> None:
    limit = service.ingest.settings.max_body_bytes
    long = ndjson(patient("p2", text="x" * limit))
    data = ndjson(patient()) + long + ndjson(condition())
    for content in (data, ndjson(patient("p3")) + b" " * (limit + 1)):
        answer = await service.send("POST", "/v1/bulk", content=content)
        assert answer.status_code == 202
        (refused,) = answer.json()["rejections"]
        assert (refused["line"], refused["code"]) == (2, "too-long")
    assert answer.json()["accepted"] == 1


async def test_lines_of_one_group_refer_to_each_other(service: Service) -> None:
    document = bundle(
        {"fullUrl": "urn:uuid:1", "resource": patient("p7")},
        {"resource": condition(subject={"reference": "urn:uuid:1"})},
    )
    answer = await service.send("POST", "/v1/bulk", content=ndjson(document))
    assert answer.json()["accepted"] == 2


WRONG = condition("c2", onsetDateTime="SECRET")
ODD = observation("o1", valueQuantity={"value": 987_654, "code": "mm[Hg]"})


async def test_the_report_names_lines_and_reasons_and_repeats_no_value(service: Service) -> None:
    data = ndjson(patient(), WRONG) + b"{SECRET\n\n" + ndjson(bundle(ODD, WRONG))
    answer = await service.send("POST", "/v1/bulk", content=data, headers=REPORT)
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/x-ndjson"
    *told, last = report_of(answer.text)
    place = "Condition.onsetDateTime"
    assert [(each["line"], each["severity"], each["place"]) for each in told] == [
        (2, "error", place),
        (3, "error", "line"),
        (5, "warning", "Bundle.entry[0].resource.valueQuantity"),
        (5, "error", f"Bundle.entry[1].resource.{place.partition('.')[2]}"),
    ]
    assert all(each["code"] and each["reason"] for each in told)
    receipt = last["receipt"]
    assert (receipt["accepted"], receipt["rejected"]) == (2, 3)
    assert "SECRET" not in answer.text
    assert "987" not in answer.text


async def test_a_receipt_has_the_first_hundred_warnings_with_their_lines(service: Service) -> None:
    odd = [patient(f"p{number}", gender="F") for number in range(101)]
    answer = await service.send("POST", "/v1/bulk", content=ndjson(patient(), *odd))
    found = answer.json()["warnings"]
    assert [each["line"] for each in found] == list(range(2, 102))
    assert {each["place"] for each in found} == {"Patient.gender"}


@pytest.mark.parametrize("report", [False, True])
async def test_what_fails_in_the_middle_says_how_much_was_taken(
    service: Service, monkeypatch: pytest.MonkeyPatch, report: bool
) -> None:
    monkeypatch.setattr(bulk_lines, "GROUP_LINES", 2)
    fail_after(service.log, 2)
    data = ndjson(patient(), condition(), WRONG, condition("c3"), condition("c4"), condition("c5"))
    answer = await service.send("POST", "/v1/bulk", content=data, headers=REPORT if report else {})
    if report:
        assert answer.status_code == 202
        first, last = report_of(answer.text)
        assert (first["line"], first["severity"]) == (3, "error")
        failure = last["problem"]
    else:
        assert answer.status_code == 503
        failure = answer.json()
    assert failure["status"] == 503
    assert "part of it was written" in failure["detail"]
    assert (failure["receipt"]["accepted"], failure["receipt"]["rejected"]) == (3, 1)


@pytest.mark.parametrize("report", [False, True])
async def test_what_fails_at_once_has_its_own_status(service: Service, report: bool) -> None:
    headers = REPORT if report else {}
    for content in (b"", b"\n \n"):
        empty = await service.send("POST", "/v1/bulk", content=content, headers=headers)
        assert (empty.status_code, empty.json()["title"]) == (400, "empty")
    service.log.away = "gone"
    away = await service.send("POST", "/v1/bulk", content=ndjson(patient()), headers=headers)
    assert away.status_code == 503
    assert "nothing was written" in away.json()["detail"]
    assert away.headers["retry-after"]


async def test_a_practice_that_waits_keeps_no_other_waiting(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log does not answer, or another replica works on it."""
    waits, may_go_on, publish = asyncio.Event(), asyncio.Event(), service.log.publish

    async def slow(changes: Any, practice: str, *rest: Any) -> Any:
        if practice == PRACTICE:
            waits.set()
            await may_go_on.wait()
        return await publish(changes, practice, *rest)

    monkeypatch.setattr(service.log, "publish", slow)
    lines = ndjson(patient())
    held = asyncio.create_task(service.send("POST", "/v1/bulk", content=lines))
    await waits.wait()
    token = service.token_for("A99077")
    headers = {"Authorization": f"Bearer {token}"}
    async with asyncio.timeout(20):
        other = await service.send("POST", "/v1/bulk", content=lines, headers=headers)
    assert other.status_code == 202
    assert not held.done()
    may_go_on.set()
    assert (await held).status_code == 202


def fail_after(log: MemoryLog, times: int) -> None:
    """The log takes so many publications, and no more."""
    publish, left = log.publish, times

    async def limited(*args: Any, **rest: Any) -> list[Position]:
        nonlocal left
        if left == 0:
            raise BrokerAwayError("gone", 0, sent=False)
        left -= 1
        return await publish(*args, **rest)

    log.publish = limited  # type: ignore[method-assign]


def test_a_small_body_that_unpacks_to_much_comes_in_pieces() -> None:
    bomb = zstandard.compress(bytes(300_000_000))
    assert len(bomb) < 10_000
    stage = body._Zstd()
    sizes = [len(piece) for piece in stage.feed(bomb)]
    assert sum(sizes) == 300_000_000
    assert max(sizes) < 10_000_000
