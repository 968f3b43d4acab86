"""The PostgreSQL that the tests share: testcontainers with an engine, else Debian's programs."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from peerview_tools.broker import engine_version
from peerview_tools.jvm_broker import HOST, free_port
from tests.support.processes import remove_at_the_end, start_process
from tests.support.waiting import wait_until

POSTGRES_IMAGE = "postgres:15"
_START_SECONDS = 60
_STOP_SECONDS = 20
_AT_ONCE = signal.SIGQUIT
"""PostgreSQL's "immediate shutdown"."""


class NoPostgresError(RuntimeError):
    """This machine has neither a container engine nor PostgreSQL's programs."""


@dataclass(frozen=True)
class TestDatabase:
    """A PostgreSQL server that answers. `url` is SQLAlchemy's, with the psycopg driver."""

    __test__ = False

    url: str
    description: str
    startup_seconds: float


@contextlib.contextmanager
def shared_postgres() -> Iterator[TestDatabase]:
    """Start the database of this test run, and end it with the run.

    `PEERVIEW_TEST_POSTGRES` names one that is there already.
    """
    began = time.monotonic()
    if given := os.environ.get("PEERVIEW_TEST_POSTGRES"):
        yield TestDatabase(given, "the PostgreSQL that PEERVIEW_TEST_POSTGRES names", 0.0)
    elif os.environ.get("PEERVIEW_BROKER") != "jvm" and engine_version():
        from testcontainers.community.postgres import PostgresContainer

        with PostgresContainer(POSTGRES_IMAGE, driver="psycopg") as container:
            url = container.get_connection_url()
            text = f"{POSTGRES_IMAGE} by testcontainers"
            yield TestDatabase(url, text, time.monotonic() - began)
    else:
        with _local_server() as (url, version):
            yield TestDatabase(url, version, time.monotonic() - began)


def _programs() -> Path:
    """Where initdb and postgres are: on PATH, or where Debian puts them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_major)
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path).resolve())
    if not found:
        raise NoPostgresError(
            "PostgreSQL is not here: no container engine answers, and there is no initdb"
        )
    return found[-1].parent


def _major(initdb: Path) -> int:
    return int(initdb.parent.parent.name.partition(".")[0])


class LocalPostgres:
    """A server of Debian's programs on a directory and a port of its own, that tests may break.
    PostgreSQL refuses to run as root."""

    def __init__(self) -> None:
        self._programs = _programs()
        self._home = Path(tempfile.mkdtemp(prefix="peerview-postgres-"))
        remove_at_the_end(self._home)
        self._data, self._log = self._home / "data", self._home / "server.log"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        # None means: as whoever we are
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self._home, pwd.getpwnam(self._user).pw_uid, -1)
        self.url = f"postgresql+psycopg://test@{HOST}:{self._port}/postgres"
        try:
            initdb = ("-U", "test", "--auth=trust", "-E", "UTF8", "-N")
            self._run(self._programs / "initdb", "-D", self._data, *initdb)
            self.version = self._run(self._programs / "postgres", "--version").strip()
            self.start()
        except BaseException:
            self.remove()
            raise

    def start(self) -> None:
        """Start it, and return when it answers."""
        # nothing here need survive a power cut
        settings = {
            "listen_addresses": HOST,
            "port": str(self._port),
            "fsync": "off",
            "unix_socket_directories": str(self._home),
            "max_connections": "200",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._process = start_process(
                [self._programs / "postgres", "-D", self._data, *options],
                dies_by=signal.SIGQUIT,
                user=self._user,
                cwd=self._home,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        server = self._process

        def ready() -> bool:
            if server.poll() is not None:
                raise RuntimeError(f"postgres ended:\n{self._log.read_text()}")
            return self._answers()

        wait_until(ready, "PostgreSQL is ready", _START_SECONDS, last=self._log.read_text)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url.replace("+psycopg", ""), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """As by a crash: connections break off, and what was not committed is gone."""
        self._end(signal.SIGQUIT)

    def kill9(self) -> None:
        """All its processes die this instant; ``start`` brings it back with what was committed."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        if how is signal.SIGKILL:
            ours = ["ps", "-o", "pid=", "--ppid", str(process.pid)]
            children = subprocess.run(ours, capture_output=True, text=True, check=False).stdout
            for pid in map(int, children.split()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, how)
        process.send_signal(how)
        process.wait(_START_SECONDS)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def _run(self, *command: str | Path) -> str:
        done = subprocess.run(
            [str(part) for part in command],
            user=self._user,
            cwd=self._home,
            env=dict(os.environ) | {"HOME": str(self._home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed:\n{done.stdout}")
        return done.stdout


@contextlib.contextmanager
def _local_server() -> Iterator[tuple[str, str]]:
    server = LocalPostgres()
    try:
        yield server.url, f"{server.version}, run locally"
    finally:
        server.remove()
