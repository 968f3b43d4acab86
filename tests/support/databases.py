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
        with _local_server(_programs()) as (url, version):
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


@contextlib.contextmanager
def _local_server(programs: Path) -> Iterator[tuple[str, str]]:
    """A server on a directory and a port of its own; PostgreSQL refuses to run as root."""
    home = Path(tempfile.mkdtemp(prefix="peerview-postgres-"))
    data, log = home / "data", home / "server.log"
    port = free_port()
    # None means: as whoever we are
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        os.chown(home, pwd.getpwnam(user).pw_uid, -1)
    environment = dict(os.environ) | {"HOME": str(home)}
    remove_at_the_end(home)

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            [str(part) for part in command],
            user=user,
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed:\n{done.stdout}")
        return done.stdout

    try:
        run(programs / "initdb", "-D", data, "-U", "test", "--auth=trust", "-E", "UTF8", "-N")
        version = run(programs / "postgres", "--version").strip()
        with log.open("wb") as output:
            # nothing here need survive a power cut
            server = start_process(
                [programs / "postgres", "-D", data, "-p", str(port), "-k", home, "-F",
                 "-c", f"listen_addresses={HOST}"],
                dies_by=_AT_ONCE, user=user, cwd=home, env=environment, stdout=output,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            _wait_until_ready(programs, port, server, log)
            yield f"postgresql+psycopg://test@{HOST}:{port}/postgres", f"{version}, run locally"
        finally:
            server.send_signal(_AT_ONCE)
            server.wait(_STOP_SECONDS)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _wait_until_ready(
    programs: Path, port: int, server: "subprocess.Popen[bytes]", log: Path
) -> None:
    asks = [str(programs / "pg_isready"), "-q", "-h", HOST, "-p", str(port)]

    def ready() -> bool:
        if server.poll() is not None:
            raise RuntimeError(f"postgres ended with {server.returncode}:\n{log.read_text()}")
        return subprocess.run(asks, stdin=subprocess.DEVNULL, check=False).returncode == 0

    wait_until(ready, "PostgreSQL is ready", _START_SECONDS, last=log.read_text)
