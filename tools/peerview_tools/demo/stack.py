"""The three services as processes of this machine, for the demonstration and for end-to-end tests.

Each runs in a process group of its own, so that Ctrl-C on the terminal reaches us first and they
end in order; should we die without stopping them, even by kill -9, a watchdog ends them.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from peerview_tools.jvm_broker import HOST, free_port

INGEST: Final = "ingest"
COMPUTE: Final = "compute"
SHARE: Final = "share"
SERVICES: Final = (INGEST, COMPUTE, SHARE)

READY_S: Final = 60.0
STOP_S: Final = 4.0
"""How long services may take to end by themselves before they are killed."""

LONGEST: Final = 400
"""Characters of a log line that are shown."""

# Its standard input is a pipe that only we hold open. The name is checked: a pid can be reused.
_WATCHDOG: Final = """
read -r _
case "$(tr '\\0' ' ' </proc/"$1"/cmdline 2>/dev/null || ps -p "$1" -o args=)" in
  *peerview_*) kill -9 -- -"$1" ;;
esac
"""


class ServiceDiedError(RuntimeError):
    """A service ended by itself; the message ends with the last lines of its log."""


class NotReadyError(RuntimeError):
    """A service runs, and did not become ready in time."""


@dataclass
class Service:
    """One service's process. `start` may follow `kill`: it comes back on the same port and data."""

    name: str
    port: int
    log: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    watchdog: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        if self.process is not None:
            raise RuntimeError(f"{self.name} runs already")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"peerview_{self.name}"],
                env=dict(self.environment),
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, "peerview-watchdog", str(self.process.pid)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def check(self) -> None:
        """Raise ServiceDiedError when the process has ended by itself."""
        if self.process is not None and self.process.poll() is not None:
            code = self.process.returncode
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            raise ServiceDiedError(
                f"the {self.name} service ended {how}. Its last lines:\n{self.tail()}"
            )

    def not_ready(self) -> str | None:
        """What keeps it from being ready, as it says itself; None when it is ready."""
        try:
            answer = httpx.get(f"{self.url}/health/ready", timeout=2.0)
        except httpx.HTTPError as error:
            return f"does not answer yet ({type(error).__name__})"
        if answer.status_code == 200:
            return None
        with contextlib.suppress(ValueError, AttributeError):
            checks = answer.json()["checks"]
            return ", ".join(f"{part}: {wrong}" for part, wrong in checks.items() if wrong != "ok")
        return f"answers {answer.status_code}"

    def metrics(self) -> dict[str, float]:
        """Its metrics by name, each summed over its labels."""
        found: dict[str, float] = {}
        answer = httpx.get(f"{self.url}/metrics", timeout=5.0)
        answer.raise_for_status()
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                found[sample.name] = found.get(sample.name, 0.0) + sample.value
        return found

    def kill(self) -> None:
        """The process dies this instant, as by a power cut."""
        self._signal(signal.SIGKILL)
        self._gone()

    def ask_to_stop(self) -> None:
        self._signal(signal.SIGTERM)

    def await_end(self, deadline: float) -> None:
        """Wait for the end until `deadline` (monotonic); kill what is left then."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
        self._gone()

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log, in a form for people."""
        if not self.log.exists():
            return "(no log)"
        found = self.log.read_text(errors="replace").splitlines()[-lines:]
        told = "\n".join(f"  {for_people(line)}" for line in found)
        return f"{told}\n  (all of it: {self.log})" if told else "  (an empty log)"

    def _signal(self, what: signal.Signals) -> None:
        # poll() tells whether the pid is still ours: until it is reaped it cannot be another's
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, what)

    def _gone(self) -> None:
        if self.process is not None:
            self.process.wait()
            self.process = None
        if self.watchdog is not None:
            # killed, not told: at the end of its input it would look for the pid
            self.watchdog.kill()
            self.watchdog.wait()
            if self.watchdog.stdin is not None:
                self.watchdog.stdin.close()
            self.watchdog = None


def for_people(line: str) -> str:
    """A line of a structured log in short: its level, its event, and what it names besides."""
    try:
        found = json.loads(line)
        level, event = found.pop("level"), str(found.pop("event"))
    except (ValueError, KeyError, AttributeError):
        return line[:LONGEST]
    trace = str(found.pop("exception", "")).strip().splitlines()
    rest = [f"{k}={v}" for k, v in found.items() if k not in ("service", "timestamp")]
    return " ".join([f"{level}:", event.splitlines()[0], *rest, *trace[-1:]])[:LONGEST]


class Stack:
    """Ingest, compute and share on one broker, with their data and logs in `home`.

    `settings` are `PEERVIEW_*` variables without that beginning (`{"LAG_DAYS": "0"}`) and win over
    what is chosen here. PEERVIEW_* variables of our own environment do not reach the services.
    """

    def __init__(
        self,
        home: Path,
        *,
        bootstrap: str,
        jwks: str,
        prefix: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.bootstrap = bootstrap
        self.prefix = prefix
        ours = {
            "MODE": "demo",
            "KAFKA": bootstrap,
            "TOPIC_PREFIX": prefix,
            "PARTITIONS": "4",
            "HOST": HOST,
            "JWKS": jwks,
            "MASTER_KEY": secrets.token_hex(32),
            "SNAPSHOT_KEY": secrets.token_hex(32),
            "INGEST_DATABASE": f"sqlite:///{home / 'ingest.db'}",
            "SHARE_DATABASE": f"sqlite:///{home / 'share.db'}",
            "DATA_DIR": str(home / "compute"),
            **(settings or {}),
        }
        self.settings = ours
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PEERVIEW_")}
        named = {f"PEERVIEW_{name}": value for name, value in ours.items()}
        self.services: dict[str, Service] = {}
        for name in SERVICES:
            port = free_port()
            environment = inherited | named | {"PEERVIEW_PORT": str(port)}
            self.services[name] = Service(name, port, home / f"{name}.log", environment)

    @property
    def ingest(self) -> Service:
        return self.services[INGEST]

    @property
    def compute(self) -> Service:
        return self.services[COMPUTE]

    @property
    def share(self) -> Service:
        return self.services[SHARE]

    @property
    def partitions(self) -> int:
        return int(self.settings["PARTITIONS"])

    def start(self, *names: str) -> None:
        """Start the named services (all, when none is named), without waiting for them."""
        for name in names or SERVICES:
            self.services[name].start()

    def wait_ready(
        self,
        *names: str,
        seconds: float = READY_S,
        waiting: Callable[[str], None] | None = None,
    ) -> None:
        """Return when the named services (or all) are ready.

        `waiting` is told what is still missing. Raises ServiceDiedError or NotReadyError.
        """
        deadline = time.monotonic() + seconds
        left = list(names or SERVICES)
        while True:
            self.check()
            reasons = {name: self.services[name].not_ready() for name in left}
            left = [name for name, reason in reasons.items() if reason is not None]
            if not left:
                return
            text = "; ".join(f"{name} {reasons[name]}" for name in left)
            if waiting is not None:
                waiting(text)
            if time.monotonic() > deadline:
                tails = "\n".join(f"-- {n}\n{self.services[n].tail(12)}" for n in left)
                raise NotReadyError(f"not ready after {seconds:.0f} s: {text}\n{tails}")
            time.sleep(0.1)

    def check(self) -> None:
        """Raise ServiceDiedError when one of the services has ended by itself."""
        for service in self.services.values():
            service.check()

    def stop(self) -> None:
        """End all services, together. Twice is harmless."""
        for name in SERVICES:
            self.services[name].ask_to_stop()
        deadline = time.monotonic() + STOP_S
        for name in SERVICES:
            self.services[name].await_end(deadline)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
