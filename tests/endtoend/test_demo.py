"""`peerview demo` as a newcomer runs it."""

import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.processes import start_process

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc"),
]

STOP_S = 10.0
READY_S = 150.0


@contextlib.contextmanager
def demo(bootstrap: str, folder: Path, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    start = "from peerview_tools.cli import main; main()"
    environment = os.environ | {"PEERVIEW_KAFKA": bootstrap, "TMPDIR": str(folder)}
    process = start_process(
        [sys.executable, "-c", start, "demo", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    """What was printed up to a line with `words` in it."""
    assert process.stdout is not None
    printed = ""
    deadline = time.monotonic() + READY_S
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while words not in printed:
            left = deadline - time.monotonic()
            assert selector.select(max(0.0, left)), f"no {words!r} in:\n{printed}"
            chunk = os.read(process.stdout.fileno(), 65_536).decode()
            assert chunk, f"the demo ended without {words!r}:\n{printed}"
            printed += chunk
    return printed


def ours(folder: Path) -> list[str]:
    """Processes whose environment says that they were started under `folder`."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"TMPDIR={folder}".encode() in (place / "environ").read_bytes():
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def test_once_shows_every_stage_and_a_release_read_by_a_peer(
    bootstrap: str, tmp_path: Path
) -> None:
    with demo(bootstrap, tmp_path, "--once", "--practices", "3", "--samples", "20") as process:
        printed, _ = process.communicate(timeout=240)
        assert process.returncode == 0, printed
    for stage in (
        "broker up",
        "services up",
        "records",
        "computed",
        "agreement",
        "snapshots",
        "release",
        "cells",
        "freshness",
    ):
        assert stage in printed
    assert re.search(r"\d+ value\b", printed)
    assert re.search(r"p50 \d+ ms .*p99 \d+ ms", printed)
    assert "bp-htn-u80" in printed
    assert list(tmp_path.iterdir()) == []
    assert ours(tmp_path) == []


def test_ctrl_c_ends_all_of_it_and_leaves_nothing(bootstrap: str, tmp_path: Path) -> None:
    with demo(bootstrap, tmp_path, "--practices", "3") as process:
        printed = read_until(process, "Ctrl-C stops everything")
        (url,) = re.findall(r"^ +(http://\S+/)$", printed, re.MULTILINE)
        page = httpx.get(url)
        assert page.status_code == 200
        assert "Amberwick Surgery" in page.text
        assert len(ours(tmp_path)) >= 4
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
        took = time.monotonic() - began
    assert process.returncode == 0, rest
    assert took < STOP_S
    assert "Nothing is left running" in rest
    assert ours(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_signal_while_it_starts_ends_it_too(bootstrap: str, tmp_path: Path) -> None:
    with demo(bootstrap, tmp_path) as process:
        read_until(process, "starting ingest, compute and share")
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=STOP_S)
    assert "Nothing is left running" in rest
    assert ours(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_service_that_is_killed_is_named(bootstrap: str, tmp_path: Path) -> None:
    with demo(bootstrap, tmp_path, "--practices", "3") as process:
        read_until(process, "Ctrl-C stops everything")
        victim = service(tmp_path, "peerview_compute")
        os.kill(victim, signal.SIGKILL)
        rest, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the compute service ended by signal 9" in rest
    assert ours(tmp_path) == []


def service(folder: Path, module: str) -> int:
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (place / "cmdline").read_bytes().split(b"\0")
            mine = f"TMPDIR={folder}".encode() in (place / "environ").read_bytes()
            if mine and command[1:3] == [b"-m", module.encode()]:
                return int(place.name)
    raise AssertionError(f"no {module} among {ours(folder)}")
