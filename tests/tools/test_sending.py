"""`peerview send` before the real service, and what it does when things go wrong on the way."""

import asyncio
import contextlib
import gzip
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import zstandard
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from peerview_common import codes
from peerview_common.auth import TokenVerifier
from peerview_common.changes import BackfillCompleted
from peerview_ingest.app import make_app
from peerview_ingest.bulk import uploads as bulk_uploads
from peerview_ingest.main import DEMONSTRATION_KEY
from peerview_ingest.store import Store
from peerview_ingest.submission import Ingest
from peerview_tools import send
from peerview_tools.cli import main
from peerview_tools.client import Client
from peerview_tools.fhir_files import UnreadableFileError
from peerview_tools.issuer import DevelopmentIssuer
from peerview_tools.send import Exit, Options
from peerview_tools.sending import parts as sending_parts
from peerview_tools.sending import state as sending_state
from peerview_tools.sending import transfer
from peerview_tools.sending.files import Lines, find
from peerview_tools.sending.parts import parts
from tests.ingest.builders import (
    NOW,
    PRACTICE,
    WITHDRAWN,
    bundle,
    condition,
    dissent,
    patient,
)
from tests.ingest.conftest import MemoryLog, settings
from tests.ingest.test_submission import P1, state

WRONG = condition("wrong", onsetDateTime="2020-02-31")


def ndjson(*documents: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in documents)


def many(first: int, count: int) -> list[Any]:
    return [condition(f"c{number}") for number in range(first, first + count)]


# -- files


def test_folders_are_searched_and_organisations_go_first(tmp_path: Path) -> None:
    names = [
        "b.ndjson", "a.json", "sub/Organization.ndjson.gz", "sub/c.ndjson.zst", "sub/d.jsonl",
        "notes.txt", ".hidden/e.ndjson", "f.ndjson.bak", "g.json.gz",
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"{}\n")
    found = [path.relative_to(tmp_path).as_posix() for path in find([tmp_path])]
    assert found[0] == "sub/Organization.ndjson.gz"
    assert found[1:] == ["a.json", "b.ndjson", "g.json.gz", "sub/c.ndjson.zst", "sub/d.jsonl"]
    odd = tmp_path / "notes.txt"
    assert find([odd, tmp_path / "b.ndjson", tmp_path / "b.ndjson"]) == [odd, tmp_path / "b.ndjson"]
    with pytest.raises(UnreadableFileError, match=r"gone\.ndjson: No such file"):
        find([tmp_path / "gone.ndjson"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnreadableFileError, match="no file"):
        find([tmp_path / "empty"])


def write(folder: Path, lines: list[bytes]) -> list[Path]:
    """The same lines as files of every kind; the last has no line end."""
    first, second, third = lines[:3], lines[3:5], lines[5:]
    (folder / "1.ndjson").write_bytes(b"\n".join(first))
    (folder / "2.ndjson.gz").write_bytes(
        gzip.compress(second[0] + b"\n") + gzip.compress(second[1] + b"\n")
    )
    (folder / "3.ndjson.zst").write_bytes(zstandard.compress(b"\n".join(third) + b"\n"))
    (folder / "4.json").write_text(json.dumps(bundle(patient()), indent=2))
    return find([folder])


def test_lines_have_one_numbering_through_all_files(tmp_path: Path) -> None:
    wanted = [b"{1}", b"", b"{2}", b"{3}", b"{4}", b"{5}", b" ", b"{6}"]
    files = write(tmp_path, wanted)
    told: list[int] = []
    lines = Lines(files, told.append)
    found = list(lines.from_line(1))
    assert [line.number for line in found] == list(range(1, 10))
    assert [line.data for line in found[:8]] == [each + b"\n" for each in wanted]
    assert json.loads(found[8].data) == bundle(patient())
    assert found[8].data.count(b"\n") == 1
    assert [(line.file.name[0], line.in_file) for line in found] == [
        ("1", 1), ("1", 2), ("1", 3), ("2", 1), ("2", 2), ("3", 1), ("3", 2), ("3", 3), ("4", 1),
    ]  # fmt: skip
    assert sum(told) == sum(path.stat().st_size for path in files)
    for first in range(1, 11):
        assert list(Lines(files, told.append).from_line(first)) == found[first - 1 :]
    files[0].write_bytes(b"this is not opened any more")
    assert list(lines.from_line(4)) == found[3:]


@pytest.mark.parametrize("name", ["x.ndjson.gz", "x.ndjson.zst"])
def test_a_file_that_was_cut_off_is_not_taken_for_a_shorter_one(tmp_path: Path, name: str) -> None:
    data = ndjson(*many(0, 2_000))
    packed = gzip.compress(data) if name.endswith("gz") else zstandard.compress(data)
    path = tmp_path / name
    for kept in (len(packed) // 2, len(packed) - 1):
        path.write_bytes(packed[:kept])
        with pytest.raises(UnreadableFileError, match=name):
            list(Lines([path], lambda _: None).from_line(1))


def test_parts_end_by_lines_and_by_bytes_and_know_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending_parts, "PART_LINES", 4)
    monkeypatch.setattr(sending_parts, "PART_BYTES", 100)
    (tmp_path / "a.ndjson").write_bytes(b"1\n" * 6)
    (tmp_path / "b.ndjson").write_bytes(b"2\n" + b"x" * 99 + b"\n" + b"3\n")
    found = list(parts(Lines(find([tmp_path]), lambda _: None).from_line(1)))
    assert [(part.first, part.after) for part in found] == [(1, 5), (5, 8), (8, 9), (9, 10)]
    assert zstandard.decompress(found[1].packed()) == b"1\n1\n2\n"
    assert [found[1].place(number) for number in (5, 6, 7)] == [
        (tmp_path / "a.ndjson", 5),
        (tmp_path / "a.ndjson", 6),
        (tmp_path / "b.ndjson", 1),
    ]


# -- before the real service, with faults on the way to it


@dataclass
class Faults:
    """Stands before the service. Each request to /v1/bulk takes one off the list:

    a status with seconds to wait; ``cut``, the connection breaks before the service hears of it;
    ``lost``, it breaks once the service has answered; ``stop``, the request waits to be let go on.
    """

    app: ASGIApp
    planned: list[Any] = field(default_factory=list)
    requests: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        plan = None
        if scope["type"] == "http" and scope["path"] == "/v1/bulk":
            self.requests += 1
            plan = self.planned.pop(0) if self.planned else None
        if isinstance(plan, tuple):
            status, wait = plan
            headers = [(b"retry-after", str(wait).encode()), (b"content-length", b"0")]
            while (await receive()).get("more_body"):
                pass
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
        elif plan == "cut":
            await _break_off(send)
        elif plan == "lost":
            await self.app(scope, receive, _nowhere)
            await _break_off(send)
        else:
            if plan == "stop":
                self.stopped.set()
                await asyncio.to_thread(self.go_on.wait, 60)
            await self.app(scope, receive, send)


async def _nowhere(_: Message) -> None:
    pass


async def _break_off(send: Send) -> None:
    """An answer that ends before its end: uvicorn then closes the connection."""
    headers = [(b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})


@dataclass
class World:
    url: str
    token: str
    log: MemoryLog
    faults: Faults
    ingest: Ingest
    issuer: DevelopmentIssuer
    folder: Path

    def options(self, **rest: Any) -> Options:
        given = {"paths": [self.folder], "url": self.url, "token": self.token, "as_json": True}
        return Options(**{**given, **rest})

    def state_files(self) -> list[Path]:
        return sorted(sending_state.folder().glob("*"))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(sending_parts, "PART_LINES", 10)
    monkeypatch.setattr(transfer, "FIRST_PAUSE_S", 0.01)
    issuer = DevelopmentIssuer(tmp_path / "issuer")
    log, clock = MemoryLog(), itertools.count(NOW)
    chosen = settings(tmp_path, issuer, upload_lease_s=0.05)
    ingest = Ingest(
        chosen,
        Store(chosen.ingest_database),
        log,
        codes.shipped(),
        DEMONSTRATION_KEY,
        lambda: next(clock),
    )
    faults = Faults(make_app(ingest, TokenVerifier.from_settings(chosen)))
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(faults, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    folder = tmp_path / "records"
    folder.mkdir()
    token = issuer.token(subject="feed", practices=[PRACTICE], scope="ingest:write")
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    yield World(url, token, log, faults, ingest, issuer, folder)
    server.should_exit = True
    faults.go_on.set()
    thread.join(30)
    ingest.close()


def ids(log: MemoryLog) -> list[bytes]:
    return [fact.id for each in log.sets() for change in each.patients for fact in change.facts]


def told(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """The summary and the rest; ingest, which runs in this process, logs to the same output."""
    out, err = capsys.readouterr()
    (summary,) = [line for line in out.splitlines() if line.startswith("{")]
    return json.loads(summary), err


def test_whatever_goes_wrong_every_line_counts_once(
    world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (world.folder / "a.ndjson").write_bytes(ndjson(patient(), *many(0, 24), WRONG, *many(24, 10)))
    (world.folder / "b.json").write_text(json.dumps(bundle(WRONG, *many(34, 5))))
    world.faults.planned = [(429, 1), None, "lost", "cut", (503, 1), "lost", "cut", "lost"]
    report = tmp_path / "report.ndjson"
    assert send.run(world.options(report=report)) == Exit.REFUSED
    done, said = told(capsys)
    assert done["next_line"] == 38
    assert (done["accepted"], done["rejected"], done["unchanged"]) == (40, 2, 0)
    assert sorted(ids(world.log)) == sorted(set(ids(world.log)))
    assert world.faults.requests == 8
    refused = [json.loads(line) for line in report.read_text().splitlines()]
    places = [(Path(each["file"]).name, each["line"], each["place"]) for each in refused]
    assert places == [
        ("a.ndjson", 26, "Condition.onsetDateTime"),
        ("b.json", 1, "Bundle.entry[0].resource.onsetDateTime"),
    ]
    assert f"{world.folder / 'a.ndjson'}:26: Condition.onsetDateTime: " in said
    assert [each["count"] for each in done["reasons"]] == [1, 1]
    assert "Bundle.entry[N]" in done["reasons"][1]["reason"]
    assert done["warnings"] == []
    assert said.count("Waiting: ingest does not answer") >= 3
    assert world.state_files() == []


@contextlib.contextmanager
def command(world: World, *more: str) -> Iterator["subprocess.Popen[str]"]:
    # whoever runs the tests in the background of a script has SIGINT ignored in all that they start
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from peerview_tools.sending import parts; parts.PART_LINES = 10\n"
        "from peerview_tools.cli import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "send", str(world.folder), "--json", *more],
        env=os.environ | {"PEERVIEW_INGEST": world.url, "PEERVIEW_TOKEN": world.token},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_after_ctrl_c_the_same_command_goes_on(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (world.folder / "a.ndjson").write_bytes(ndjson(WRONG, *many(0, 44)))
    world.faults.planned = [None, None, "stop"]
    with command(world) as process:
        assert world.faults.stopped.wait(30)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=30)
    assert (process.returncode, out) == (Exit.STOPPED, "")
    assert "Lines before 21 are taken" in said
    assert "Run the same command again" in said
    assert "Traceback" not in said
    assert len(world.state_files()) == 1
    before = world.faults.requests
    world.faults.go_on.set()
    assert send.run(world.options()) == Exit.REFUSED
    done, said = told(capsys)
    assert "Going on with line" in said
    assert (done["next_line"], done["accepted"], done["rejected"]) == (46, 44, 1)
    assert [each["count"] for each in done["reasons"]] == [1], "of the first run"
    assert world.faults.requests - before <= 4
    assert sorted(ids(world.log)) == sorted(set(ids(world.log)))


@pytest.mark.parametrize("where", ["find", "tell"])
def test_ctrl_c_before_and_after_sending_does_not_end_as_if_all_was_sent(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    (world.folder / "a.ndjson").write_bytes(ndjson(*many(0, 3)))
    monkeypatch.setattr(
        *((send.record_files, where) if where == "find" else (send, where)), stopped
    )
    monkeypatch.setattr(sys, "argv", ["peerview", "send", str(world.folder)])
    monkeypatch.setenv("PEERVIEW_INGEST", world.url)
    monkeypatch.setenv("PEERVIEW_TOKEN", world.token)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == Exit.STOPPED
    assert "stopped" in capsys.readouterr().err


def test_a_token_that_ends_on_the_way_leaves_it_unfinished(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (world.folder / "a.ndjson").write_bytes(ndjson(*many(0, 30)))
    world.faults.planned = [None, (401, 0)]
    assert send.run(world.options()) == Exit.NOT_FINISHED
    assert "Lines before 11 are taken" in capsys.readouterr().err
    assert send.run(world.options()) == Exit.DONE
    assert told(capsys)[0]["accepted"] == 30
    assert len(ids(world.log)) == 30


def test_what_does_not_pass_is_given_up_in_the_end(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.folder / "a.ndjson").write_bytes(ndjson(*many(0, 20)))
    monkeypatch.setattr(transfer.Transfer.__init__, "__defaults__", _impatient())
    world.faults.planned = [None, *[(503, 0)] * 50]
    assert send.run(world.options()) == Exit.NOT_FINISHED
    said = capsys.readouterr().err
    assert "Given up: " in said
    assert "Lines before 11 are taken" in said


def _impatient() -> tuple[Any, ...]:
    defaults = transfer.Transfer.__init__.__defaults__
    assert defaults is not None
    return (0.2, *defaults[1:])


@pytest.mark.parametrize("how", ["expired", "changed", "anew", "other code list"])
def test_what_cannot_be_gone_on_with_is_begun_anew(
    world: World, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    path = world.folder / "a.ndjson"
    path.write_bytes(ndjson(*many(0, 30)))
    world.faults.planned = [None, (401, 0)]
    assert send.run(world.options(full=True)) == Exit.NOT_FINISHED
    capsys.readouterr()
    if how == "expired":
        (state,) = world.state_files()
        gone = json.loads(state.read_text())["upload"]
        bulk_uploads.Uploads(world.ingest.store).drop(gone)
    elif how == "changed":
        path.write_bytes(ndjson(*many(0, 31)))
    elif how == "other code list":
        world.ingest.codes = codes.CodeList(codes.shipped().rows[:-1])
    assert send.run(world.options(full=True, anew=how == "anew")) == Exit.DONE
    done, said = told(capsys)
    assert done["next_line"] == (32 if how == "changed" else 31)
    assert done["unchanged"] == 10
    assert done["backfill_completed"]
    assert ("all is sent once again" in said) == (how in ("expired", "other code list"))
    assert ("the files have changed" in said) == (how == "changed")


def test_a_full_submission_says_what_it_ended(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (world.folder / "a.ndjson.gz").write_bytes(gzip.compress(ndjson(*many(0, 15))))
    assert send.run(world.options(full=True, as_json=False)) == Exit.DONE
    out = capsys.readouterr().out
    assert "All sent: 15 lines of 1 file" in out
    assert "The full submission has ended" in out
    assert sum(isinstance(each, BackfillCompleted) for each in world.log.events()) == 1
    with world.ingest.store.writing() as connection:
        connection.exec_driver_sql(
            "INSERT INTO sources (practice, source, data_through, first_codes)"
            f" VALUES ('{PRACTICE}', 'old', 1, 'other')"
        )
    assert send.run(world.options(full=True, as_json=False)) == Exit.DONE
    assert "waiting for full submissions from old; --without NAME" in capsys.readouterr().out
    assert send.run(world.options(full=True, without=["old"], as_json=False)) == Exit.DONE
    assert "The full submission has ended" in capsys.readouterr().out


def test_a_damaged_file_ends_it_and_says_where(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (world.folder / "a.ndjson").write_bytes(ndjson(*many(0, 15)))
    packed = gzip.compress(ndjson(*many(15, 15)))
    (world.folder / "b.ndjson.gz").write_bytes(packed[:-9])
    assert send.run(world.options(full=True)) == Exit.WRONG
    said = capsys.readouterr().err
    assert f"{world.folder / 'b.ndjson.gz'}: " in said
    assert "Mend the file" in said
    assert not any(isinstance(each, BackfillCompleted) for each in world.log.events())
    (world.folder / "b.ndjson.gz").write_bytes(packed)
    assert send.run(world.options(full=True)) == Exit.DONE


def test_an_address_where_nothing_answers_is_said_at_once(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (world.folder / "a.ndjson").write_bytes(b"{}\n")
    assert send.run(world.options(url="http://127.0.0.1:9")) == Exit.NOT_FINISHED
    said = capsys.readouterr().err
    assert "nothing answers at this address" in said
    assert "Nothing was sent" in said


def test_two_senders_of_the_same_upload_share_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when a command is started again while the first one still runs."""
    (world.folder / "a.ndjson").write_bytes(ndjson(*many(0, 35)))
    world.faults.planned = [None, "stop"]
    with command(world) as process:
        assert world.faults.stopped.wait(30)
        assert send.run(world.options()) == Exit.DONE
        world.faults.go_on.set()
        _, said = process.communicate(timeout=60)
        assert process.returncode in (Exit.DONE, Exit.NOT_FINISHED), said
    done, _ = told(capsys)
    assert (done["accepted"], done["next_line"]) == (35, 36)
    with Client(world.url, lambda: world.token) as client:
        assert client.get(f"/v1/uploads/{done['upload']}")["accepted"] == 35
    assert len(ids(world.log)) == 35


def test_what_counts_otherwise_than_meant_is_told_in_the_end(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = [patient(f"w{n}", gender="F") for n in range(3)]
    (world.folder / "a.ndjson").write_bytes(ndjson(*odd, {"resourceType": "Organisation"}))
    report = tmp_path / "report.ndjson"
    assert send.run(world.options(report=report, as_json=False)) == Exit.REFUSED
    shown = capsys.readouterr().out
    assert "3  Patient.gender: not a gender of FHIR" in shown
    assert "not a resource type of FHIR R4" in shown
    assert f"Every refusal and warning stands in {report}." in shown
    assert len(report.read_text().splitlines()) == 4


def test_a_file_of_lines_that_is_called_json_is_sent_by_lines(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    (world.folder / "a.json").write_bytes(ndjson(*many(0, 5), WRONG))
    assert send.run(world.options()) == Exit.REFUSED
    done, said = told(capsys)
    assert (done["next_line"], done["accepted"], done["rejected"]) == (7, 5, 1)
    assert f"{world.folder / 'a.json'}:6: Condition.onsetDateTime" in said


def test_whoever_objected_and_no_longer_does_counts_with_all_their_records(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    between = many(1, 25)  # of the same patient, in other parts than the objection
    lines = [patient(), condition("c0"), dissent("d1", "2024-01-01"), *between]
    lines += [dissent("d2", "2025-01-01", WITHDRAWN), WRONG]
    (world.folder / "a.ndjson").write_bytes(ndjson(*lines))
    assert send.run(world.options()) == Exit.REFUSED
    done, said = told(capsys)
    assert (done["objections"], done["opted_in"], done["rejected"]) == (1, 1, 1)
    assert "all is sent once more" in said
    assert said.count("Condition.onsetDateTime") == 1
    assert [each["count"] for each in done["reasons"]] == [1]
    assert len(state(world)[P1]) == 27
    assert world.state_files() == []
