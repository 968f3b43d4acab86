"""The request: what is refused, what is told, what is kept when it breaks off."""

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from peerview_ingest.extracts import drop
from peerview_ingest.publisher import BusyError
from tests.ingest.builders import PRACTICE
from tests.ingest.conftest import Service
from tests.ingest.extracts.drops import (
    DAY,
    FIELDGATE,
    NEXT,
    Files,
    count,
    decide,
    held,
    person,
    put,
    reading,
    send,
)

SECRETS = ("Featherstonehaugh", "9434765919", "1 Nowhere Lane")


def people(size: int) -> Files:
    return Files(
        patients=[person(f"p{number}") for number in range(size)],
        observations=[reading(f"o{number}", f"p{number}") for number in range(size)],
    )


def problem_of(answer: Any) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    found: str = answer.json()["type"]
    return found.removeprefix("urn:peerview:problem:")


async def test_a_source_system_without_a_mapping_is_told_so(service: Service) -> None:
    answer = await put(service, DAY, people(1).parts(), source="somebody")
    assert (answer.status_code, problem_of(answer)) == (409, "no-mapping")


async def test_the_mapping_that_the_sender_means_must_be_the_one_that_is_used(
    service: Service,
) -> None:
    answer = await put(service, DAY, people(1).parts(), query="&mapping=linden")
    assert (answer.status_code, problem_of(answer)) == (409, "other-mapping")


@pytest.mark.parametrize("day", ["2026-05-31", "2026-13-01", "yesterday", "20260520"])
async def test_a_day_must_be_one_and_not_lie_ahead(service: Service, day: str) -> None:
    answer = await put(service, day, people(1).parts())
    assert answer.status_code in (400, 422)
    assert (await decide(service, "GET", "")).json()["extracts"] == []


async def test_the_mode_must_be_said(service: Service) -> None:
    assert (await put(service, DAY, people(1).parts(), "half")).status_code == 400


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("letters", b"a,b\n", "no-such-table"),
        ("observations", b"a,b\n", "header"),
        ("observations", b"", "header"),
        ("observations", "ObservationGuid,PatientGuid\n".encode("utf-16"), "header"),
    ],
)
async def test_a_table_that_cannot_be_read_at_all_stops_the_drop(
    service: Service, name: str, data: bytes, told: str
) -> None:
    answer = await put(service, DAY, {"patients": people(3).csv("patients"), name: data})
    assert (answer.status_code, problem_of(answer)) == (422, told)
    assert answer.json()["report"]["tables"]["patients"]["accepted"] == 3
    (listed,) = (await decide(service, "GET", "")).json()["extracts"]
    assert listed["state"] == "incomplete"
    assert name in listed["reason"] or told == "no-such-table"


async def test_a_column_there_twice_or_not_at_all_is_named(service: Service) -> None:
    parts = people(1).parts()
    parts["observations"] = parts["observations"].replace(b"Value,", b"Valeu,", 1)
    answer = await put(service, DAY, parts)
    assert answer.json()["detail"] == "observations: the header lacks the column Value"
    parts["observations"] = people(1).csv("observations").replace(b"LocalCode,", b"Value,", 1)
    answer = await put(service, DAY, parts)
    assert "lacks the column LocalCode" in answer.json()["detail"]
    text = people(1).csv("observations").replace(b"\r\n", b",Value\r\n", 1)
    answer = await put(
        service, DAY, {**parts, "observations": text.replace(b"mmol/mol,,,", b"mmol/mol,,,,")}
    )
    assert answer.json()["detail"] == "observations: the header has Value more than once"


async def test_columns_of_other_things_may_be_there_once_or_twice(service: Service) -> None:
    text = people(2).csv("observations").decode("utf-8-sig")
    head, *lines = text.split("\r\n")
    wide = "\r\n".join([f"Note,{head},Note", *(f"x,{line},y" for line in lines if line)])
    report = await send(service, DAY, people(2))
    answer = await put(service, NEXT, {**people(2).parts(), "observations": wide.encode()})
    assert answer.json()["tables"]["observations"]["unchanged"] == 2, report


async def test_a_table_may_be_there_only_once(service: Service) -> None:
    text = people(1).csv("patients")
    files = [("patients", ("p.csv", text)), ("patients", ("p.csv", text))]
    headers = {"Authorization": f"Bearer {service.token_for(PRACTICE, system='fieldgate')}"}
    answer = await service.client.put(
        f"/v1/extracts/{DAY}?mode=delta", files=files, headers=headers
    )
    assert (answer.status_code, problem_of(answer)) == (422, "table-twice")


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data", b"", 415),
        ("multipart/form-data; boundary=x", b"no boundary at all", 400),
        ("multipart/form-data; boundary=x", b"", 400),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\na", 422),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="patients"\r\n\r\n' + b"a" * 9,
            400,
        ),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A" * 9_000, 400),
    ],
)
async def test_a_body_that_is_not_what_it_says_is_refused(
    service: Service, content_type: str, body: bytes, status: int
) -> None:
    headers = {
        "Authorization": f"Bearer {service.token_for(PRACTICE, system='fieldgate')}",
        "Content-Type": content_type,
    }
    answer = await service.client.put(
        f"/v1/extracts/{DAY}?mode=delta", content=body, headers=headers
    )
    assert answer.status_code == status, answer.text


async def test_the_whole_request_may_be_compressed(service: Service) -> None:
    boundary = "b0undary"
    body = b"".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, data in people(3).parts().items()
    )
    headers = {
        "Authorization": f"Bearer {service.token_for(PRACTICE, system='fieldgate')}",
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Content-Encoding": "gzip",
    }
    packed = gzip.compress(body + f"--{boundary}--\r\n".encode())
    answer = await service.client.put(
        f"/v1/extracts/{DAY}?mode=full", content=packed, headers=headers
    )
    assert answer.json()["tables"]["patients"]["accepted"] == 3


async def test_no_answer_log_line_or_report_repeats_a_value(
    service: Service, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    files = people(15)
    bad = [
        person("x", Sex=SECRETS[0]),
        person("y", DateOfBirth=SECRETS[0]),
        person("z", DateOfBirth="99/99/9434"),
        person(SECRETS[0], PatientGuid=SECRETS[1], AvailabilityDate=SECRETS[2].replace(",", "")),
        person("w", OrganisationOds=SECRETS[0]),
    ]
    files.patients += [*bad, *bad, *bad]
    parts = files.parts()
    parts["patients"] += f'"{SECRETS[0]}\r\n{SECRETS[1]},{SECRETS[2]}\r\n'.encode()
    answer = await put(service, DAY, parts)
    assert answer.json()["tables"]["patients"]["rejected"] == 17
    assert answer.json()["held"]
    await put(service, NEXT, {f"{SECRETS[0]}": SECRETS[1].encode()})
    broken = parts["patients"].replace(b"PatientGuid", SECRETS[0].encode(), 1)
    refused = await put(service, NEXT, {"patients": broken})
    listed = await decide(service, "GET", "")
    out, err = capsys.readouterr()
    told = answer.text + refused.text + listed.text + out + err + caplog.text
    for secret in (*SECRETS, "9434"):
        assert secret not in told
    stored = json.dumps([repr(each) for each in service.log.events()])
    for secret in SECRETS:
        assert secret not in stored


async def test_what_was_taken_stays_when_the_log_goes_away_and_the_day_is_sent_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drop, "GROUP_ROWS", 4)
    publish = service.log.publish

    async def fail_later(*given: Any, **rest: Any) -> Any:
        if len(service.log.records) == 3:
            service.log.away = "gone"
        return await publish(*given, **rest)

    monkeypatch.setattr(service.log, "publish", fail_later)
    answer = await put(service, DAY, people(20).parts())
    assert (answer.status_code, problem_of(answer)) == (503, "broker-away")
    assert answer.json()["report"]["tables"]["patients"]["rows"] == 12
    assert answer.headers["retry-after"]
    (listed,) = (await decide(service, "GET", "")).json()["extracts"]
    assert listed["state"] == "incomplete"
    monkeypatch.setattr(service.log, "publish", publish)
    service.log.away = None
    report = await send(service, DAY, people(20))
    assert report["state"] == "complete"
    assert report["tables"]["patients"]["unchanged"] == 12
    assert count(service) == 60


async def test_too_much_under_way_is_told_and_safe_to_repeat(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*_: Any, **__: Any) -> Any:
        raise BusyError("too much")

    with monkeypatch.context() as patched:
        patched.setattr(service.log, "publish", busy)
        answer = await put(service, DAY, people(2).parts())
    assert (answer.status_code, problem_of(answer)) == (429, "throttled")
    assert (await send(service, DAY, people(2)))["state"] == "complete"


async def test_a_drop_that_begins_meanwhile_goes_on_and_the_other_gives_up(
    service: Service,
) -> None:
    """The first one hangs in the middle of its body; the second goes through."""
    go_on = asyncio.Event()
    text = people(3).csv("patients")

    async def slow() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="patients"\r\n\r\n'
        yield text
        begun.set()
        await go_on.wait()
        yield b"\r\n--x--\r\n"

    begun = asyncio.Event()
    headers = {
        "Authorization": f"Bearer {service.token_for(PRACTICE, system='fieldgate')}",
        "Content-Type": "multipart/form-data; boundary=x",
    }
    first = asyncio.create_task(
        service.client.put(f"/v1/extracts/{DAY}?mode=delta", content=slow(), headers=headers)
    )
    await begun.wait()
    assert (await send(service, DAY, people(2)))["state"] == "complete"
    go_on.set()
    answer = await first
    assert (answer.status_code, problem_of(answer)) == (409, "overtaken")
    states = [each["state"] for each in (await decide(service, "GET", "")).json()["extracts"]]
    assert states == ["complete", "incomplete"]
    assert len(held(service)) == 2


async def test_quotes_and_line_breaks_in_what_nobody_needs_do_no_harm(service: Service) -> None:
    names = (*_columns("observations"), "AssociatedText")
    note = '"She said ""come on, Tuesday"".\r\nHer son,\nJosé, too."'
    rows = [
        ",".join([*(_filled(name, number) for name in names[:-1]), note]) for number in range(3)
    ]
    text = "\r\n".join([",".join(names), *rows])
    answer = await put(service, DAY, {"observations": text.encode("utf-8-sig")}, "delta")
    assert answer.json()["tables"]["observations"]["accepted"] == 3


def _columns(table: str) -> list[str]:
    from peerview_ingest.extracts.resources import wanted_columns

    found = FIELDGATE.table(table)
    assert found is not None
    return wanted_columns(found)


def _filled(name: str, number: int) -> str:
    row = {"OrganisationOds": PRACTICE, "Deleted": "False", **reading(f"o{number}", "p")}
    return row.get(name, "")


async def test_rows_are_taken_in_groups_and_never_gathered(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 MB, nearly all of it in a column that nobody needs, in bounded memory."""
    sizes: list[int] = []
    submit = service.ingest.submit

    async def watched(sender: Any, reading: Any, **rest: Any) -> Any:
        done = await submit(sender, reading, **rest)
        sizes.append(len(done.reads))
        done.reads.clear()
        return done

    monkeypatch.setattr(service.ingest, "submit", watched)
    names = (*_columns("observations"), "AssociatedText")
    rest = {"SnomedConceptId": "60621009", "OrganisationOds": PRACTICE, "Deleted": "False"}

    async def body() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="observations"\r\n\r\n'
        yield (",".join(names) + "\n").encode()
        for number in range(0, 2_000, 100):
            lines = []
            for each in range(number, number + 100):
                row = {**reading(str(each), "p"), **rest, "AssociatedText": "z" * 10_000}
                lines.append(",".join(row.get(name, "") for name in names) + "\n")
            yield "".join(lines).encode()
        yield b"\r\n--x--\r\n"

    headers = {
        "Authorization": f"Bearer {service.token_for(PRACTICE, system='fieldgate')}",
        "Content-Type": "multipart/form-data; boundary=x",
    }
    tracemalloc.start()
    answer = await service.client.put(
        f"/v1/extracts/{DAY}?mode=delta", content=body(), headers=headers
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.json()["tables"]["observations"]["dropped"] == 2_000
    # 4 MB of text are 400 of these rows
    assert max(sizes) <= 420
    assert peak < 40_000_000, peak
