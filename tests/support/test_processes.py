"""What a test run starts ends with it, also when the run is killed."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from tests.support.processes import start_process
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel must be Linux")

# says when it has begun: before that there is only what becomes it
CAT = ("/bin/sh", "-c", "echo begun; exec cat")
SLEEP = ("/bin/sh", "-c", "echo begun; exec sleep 600")


def lives(pid: int) -> bool:
    """Whether it runs; what waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def test_a_killed_run_leaves_no_process_and_no_folder_behind(tmp_path: Path) -> None:
    test = textwrap.dedent(
        f"""
        import os, signal, subprocess, threading
        from pathlib import Path
        from tests.support.processes import remove_at_the_end, start_process

        def test_that_is_killed():
            folder = Path({str(tmp_path / "folder")!r})
            folder.mkdir()
            remove_at_the_end(folder)
            pids = []
            def start():
                process = start_process({SLEEP!r}, stdout=subprocess.PIPE)
                assert process.stdout.readline() == b"begun\\n"
                pids.append(process.pid)
            thread = threading.Thread(target=start)
            thread.start()
            thread.join()
            start()
            Path({str(tmp_path / "pids")!r}).write_text(" ".join(map(str, pids)))
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    file = tmp_path / "test_killed.py"
    file.write_text(test)
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c"]
    run = subprocess.run(
        [*command, str(root / "pyproject.toml"), f"--rootdir={root}", str(file)],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == -signal.SIGKILL, run.stdout + run.stderr
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    wait_until(lambda: not any(lives(pid) for pid in pids), "both processes end", 20)
    wait_until(lambda: not (tmp_path / "folder").exists(), "the folder goes", 20)


def test_a_process_outlives_the_thread_that_asked_for_it() -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        process = start_process(CAT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        started.append(process)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    (process,) = started
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdin.write(b"still here\n")
    process.stdin.close()
    assert process.stdout.readline() == b"still here\n"
    assert process.wait(20) == 0


def test_the_process_is_the_command_itself(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getpid(), os.getcwd(), os.environ['GIVEN'], sys.argv[1])"
    process = start_process(
        [sys.executable, "-c", code, "an argument"],
        cwd=tmp_path,
        env=os.environ | {"GIVEN": "yes"},
        stdout=subprocess.PIPE,
        text=True,
    )
    said = process.communicate(timeout=20)[0]
    assert said == f"{process.pid} {tmp_path} yes an argument\n"
