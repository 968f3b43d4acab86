"""Services as processes of their own, and what Linux says they cost."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def wait_until(met: Callable[[], Any], what: str, seconds: float, pause: float = 0.05) -> Any:
    """Ask until the answer is true; returns it."""
    end = time.monotonic() + seconds
    while not (found := met()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(pause)
    return found


class Process:
    """A process of ours, which ends with the ``with`` block. Its log is kept in memory."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], folder: Path, sample: bool = False
    ) -> None:
        self.lines: list[str] = []
        self.name = command[2]
        self._times: list[float] = []
        self._used: list[float] = []
        folder.mkdir(parents=True, exist_ok=True)
        self.started = time.time()
        self._process = subprocess.Popen(
            list(command),
            env=os.environ | dict(env),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        if sample:
            threading.Thread(target=self._sample, daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        """By itself, with an error: its last lines go to standard error."""
        code = self._process.poll()
        if code:
            print(f"[bench] a process ended with {code}", *self.lines[-4:], sep="\n  ",
                  file=sys.stderr, flush=True)  # fmt: skip
        return bool(code)

    def check(self) -> None:
        """Raises RuntimeError when it has failed; its last lines go to standard error."""
        if code := self._process.poll():
            # the page keeps this message: no path of this machine in it
            print(*self.lines[-12:], sep="\n  ", file=sys.stderr, flush=True)
            raise RuntimeError(f"{self.name} ended with {code}")

    def cpu_between(self, begin: float, end: float) -> float:
        """Processor seconds used between two moments of ``time.time()``."""
        return self._used_at(end) - self._used_at(begin)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait(30)

    def end(self, seconds: float = 30) -> None:
        """In order, and by force after ``seconds``."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _read(self) -> None:
        assert self._process.stderr is not None  # noqa: S101
        for line in self._process.stderr:
            self.lines.append(line.rstrip())

    def _sample(self) -> None:
        while self._process.poll() is None:
            try:
                used = cpu_seconds(self.pid)
            except OSError:
                return
            self._times.append(time.time())
            self._used.append(used)
            time.sleep(0.05)

    def _used_at(self, moment: float) -> float:
        place = min(bisect_left(self._times, moment), len(self._times) - 1)
        return self._used[place]


class Worker(Process):
    """``python -m peerview_compute``."""

    def __init__(
        self, bootstrap: str, prefix: str, partitions: int, folder: Path, **over: str
    ) -> None:
        env = {
            "PEERVIEW_KAFKA": bootstrap,
            "PEERVIEW_TOPIC_PREFIX": prefix,
            "PEERVIEW_PARTITIONS": str(partitions),
            "PEERVIEW_SNAPSHOT_KEY": bytes(range(16)).hex(),
            "PEERVIEW_DATA_DIR": str(folder),
            "PEERVIEW_LOG_LEVEL": "info",
        }
        super().__init__([sys.executable, "-m", "peerview_compute"], env | over, folder, True)

    def said(self, event: str) -> list[dict[str, Any]]:
        found = []
        for line in list(self.lines):
            if f'"{event}"' in line:
                try:
                    told = json.loads(line)
                except ValueError:
                    continue
                if told.get("event") == event:
                    found.append(told)
        return found

    @property
    def port(self) -> int:
        def listening() -> Any:
            self.check()
            return self.said("listening")

        return int(wait_until(listening, "listening", 60)[0]["port"])

    def get(self, path: str) -> tuple[int, str]:
        address = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(address, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    @property
    def ready(self) -> bool:
        self.check()
        return self.get("/health/ready")[0] == 200

    @property
    def patients(self) -> int:
        """Patients of the partitions that are this worker's."""
        return sum(
            int(float(line.rpartition(" ")[2]))
            for line in self.get("/metrics")[1].splitlines()
            if line.startswith("peerview_compute_patients{")
        )

    def until_ready(self, seconds: float = 300) -> Self:
        wait_until(lambda: self.ready, "a worker ready", seconds, 0.1)
        return self
