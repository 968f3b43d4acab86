"""Services as processes of their own, none of which outlives the test run, however that ends."""

import json
import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from tests.support.waiting import wait_until

STARTED_S = 90
"""How long a service may take to its first word that it listens."""

# Becomes the process it was asked for, which the kernel then ends with its parent (Linux alone can
# do that). A parent that was killed before the request has left us to somebody else.
_BOUND = """
import ctypes, os, sys
parent, number, user = map(int, sys.argv[1:4])
if user >= 0:
    os.setuid(user)  # before the request, which it would undo
ctypes.CDLL(None, use_errno=True).prctl(1, number, 0, 0, 0)  # PR_SET_PDEATHSIG
if os.getppid() != parent:
    os._exit(1)
os.execvp(sys.argv[4], sys.argv[4:])
"""
# Its standard input is a pipe that only we hold open.
_REMOVER = """
read -r _
for _ in 1 2 3 4 5 6 7 8 9 10; do rm -rf "$1" 2>/dev/null && exit; sleep 0.5; done
"""

# The kernel's "parent" is the thread that forked, not its process: one that never ends does it.
_starter = ThreadPoolExecutor(1, "process-starter")


def start_process(
    command: Sequence[str | Path],
    *,
    dies_by: signal.Signals = signal.SIGKILL,
    user: str | None = None,
    **options: Any,
) -> "subprocess.Popen[Any]":
    """Start a process that gets the signal ``dies_by`` when this one ends, be it by kill -9.

    ``user`` is who it runs as, by name. ``options`` are Popen's; there is no standard input unless
    they say so. Its own children are its own business. Without Linux it is a plain process.
    """
    options = {"stdin": subprocess.DEVNULL, **options}
    line = [str(part) for part in command]
    if sys.platform == "linux":
        number = -1 if user is None else pwd.getpwnam(user).pw_uid
        facts = [str(n) for n in (os.getpid(), int(dies_by), number)]
        line = [sys.executable, "-I", "-S", "-c", _BOUND, *facts, *line]
    else:
        options["user"] = user
    return _starter.submit(subprocess.Popen, line, **options).result()


def remove_at_the_end(folder: Path) -> None:
    """Delete a folder when this process has ended, be it by kill -9."""
    _starter.submit(
        subprocess.Popen,
        ["/bin/sh", "-c", _REMOVER, "peerview-remover", str(folder)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    ).result()


class Service:
    """``python -m MODULE`` with its log read along. Only this process is ever signalled."""

    def __init__(
        self,
        module: str,
        environment: Mapping[str, str],
        folder: Path,
        stdout: IO[bytes] | None = None,
    ) -> None:
        """``environment`` is added to ours; ``stdout`` is kept nowhere by itself."""
        self.lines: list[dict[str, Any]] = []
        """What it logged; a line that is not JSON is an ``event``."""
        self.text: list[str] = []
        """The same, as it was written."""
        self.process: subprocess.Popen[str] = start_process(
            [sys.executable, "-m", module],
            env=os.environ | dict(environment),
            cwd=folder,
            stdout=subprocess.DEVNULL if stdout is None else stdout,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.text.append(line)
            try:
                self.lines.append(json.loads(line))
            except ValueError:
                self.lines.append({"event": line.rstrip()})

    @property
    def pid(self) -> int:
        return self.process.pid

    def said(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of an event."""
        return [line for line in list(self.lines) if line.get("event") == event]

    @property
    def alive(self) -> bool:
        """True; raises AssertionError, with its last lines, once it has ended."""
        code = self.process.poll()
        assert code is None, f"ended with {code}: {self.lines[-5:]}"
        return True

    def listening(self) -> dict[str, Any]:
        """Its first line that it listens. On a busy machine imports alone take many seconds; one
        that has ended is told at once."""
        return wait_until(
            lambda: self.said("listening") if self.alive else [],
            "the service listens",
            STARTED_S,
            last=lambda: f"it said {self.text[-5:]}",
        )[0]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float) -> int:
        """Until it has ended; the exit code."""
        return self.process.wait(seconds)

    def stop(self, seconds: float = 40) -> int:
        """In order; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def kill(self) -> None:
        """This instant, also when it is frozen. Twice is harmless."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(20)
