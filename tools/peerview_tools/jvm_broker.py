"""A real Kafka broker as a local JVM: for machines with Java but no container engine.

It is also the broker of the chaos tests, since a process can be killed, frozen and started again
on the same data and ports.
"""

import base64
import contextlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from peerview_tools.broker_ready import BrokerUnavailableError, Say, say_on_stderr, wait_until_ready
from peerview_tools.kafka_jars import kafka_jars
from peerview_tools.kafka_settings import KAFKA_VERSION, LOGIN_SETTINGS, SETTINGS

HOST: Final = "127.0.0.1"
START_DEADLINE_SECONDS: Final = 60.0
STOP_GRACE_SECONDS: Final = 15.0

# Outlives us only long enough to end the broker when we die without stopping it, even by kill -9:
# its standard input is a pipe that only we hold open. The name is checked, for a pid can be reused.
_WATCHDOG: Final = """
read -r _
case "$(tr '\\0' ' ' </proc/"$1"/cmdline 2>/dev/null || ps -p "$1" -o args=)" in
  *kafka.Kafka*) kill -9 "$1" ;;
esac
[ -z "$2" ] || rm -rf "$2"
"""


_TAKEN: Final = "Address already in use"
_random: Final = random.SystemRandom()


def free_port() -> int:
    """A port nobody listens on, below the range the system gives to outgoing connections.

    Inside that range a client that keeps trying a stopped broker can be given the broker's own
    port, connect to itself, and keep the broker from coming back.
    """
    for _ in range(1000):
        # not by a generator that tests seed: two of them would look at the same ports
        port = _random.randint(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise BrokerUnavailableError("no free port between 20000 and 32000")


def new_cluster_id() -> str:
    """A random id in Kafka's form; its own tool for this costs a second of starting a JVM."""
    return "p" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]


class JvmBroker:
    """One Kafka node in a JVM of its own, which ends with us.

    It runs in its own session, so Ctrl-C on the terminal reaches us and not the broker: services
    can finish their work before `stop()`. Without `data_dir` its data go when it stops; with one
    they stay, and a later broker on the same directory has them. `properties` override SETTINGS.
    `users` (name to password) log in by SCRAM-SHA-256 at `login_bootstrap`, and may do only what an
    ACL grants them; without `users` there is no such listener and no authorizer.
    """

    kind: Literal["jvm"] = "jvm"

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        properties: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
        port: int | None = None,
        heap: str = "512m",
        say: Say = say_on_stderr,
    ) -> None:
        self._say = say
        self._heap = heap
        self._java = shutil.which("java")
        if self._java is None:
            raise BrokerUnavailableError("Java 17 or newer is needed to run Kafka; found no java")
        self._jars = kafka_jars(say)
        self._temporary = data_dir is None
        self.data_dir = data_dir or Path(tempfile.mkdtemp(prefix="peerview-kafka-"))
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.log_file = self.data_dir / "broker.log"
        self._cluster = new_cluster_id()
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self.startup_seconds = 0.0
        try:
            for last in (False, False, True):
                self._choose_ports(port, login=bool(users))
                self._configure(properties or {})
                self._format(users or {})
                try:
                    self.start()
                    break
                except BrokerUnavailableError as error:
                    # somebody took the port between our looking and our listening
                    if last or port is not None or _TAKEN not in str(error):
                        raise
                    self._end(signal.SIGKILL)
        except BaseException:
            self.stop()
            raise

    @property
    def description(self) -> str:
        return f"Kafka {KAFKA_VERSION} in a local JVM (pid {self.pid}) at {self.bootstrap}"

    @property
    def pid(self) -> int | None:
        """The broker's process id while we have one."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process, and return when the broker answers."""
        if self._process is not None:
            raise RuntimeError("the broker runs already")
        began = time.monotonic()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command("kafka.Kafka", str(self._properties_file), memory=self._heap),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        scratch = str(self.data_dir) if self._temporary else ""
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, "peerview-watchdog", str(self._process.pid), scratch],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        wait_until_ready(self.bootstrap, START_DEADLINE_SECONDS, self._why_not, self._cluster)
        self.startup_seconds = time.monotonic() - began

    def stop(self) -> None:
        """End the process, in order where its data are kept. Doing so twice is harmless."""
        if self._temporary:
            self._end(signal.SIGKILL)
            shutil.rmtree(self.data_dir, ignore_errors=True)
        else:
            self._end(signal.SIGTERM)

    def restart(self) -> None:
        """End the process in order and start it on the same data and ports."""
        self._end(signal.SIGTERM)
        self.start()

    def kill9(self) -> None:
        """The process dies this instant; `start()` brings it back with what it had written."""
        self._end(signal.SIGKILL)

    def suspend(self) -> None:
        """Freeze the process as it is: connections stay open and nothing answers."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a suspended process go on."""
        self._running().send_signal(signal.SIGCONT)

    def log_tail(self, lines: int = 25) -> str:
        """The last lines of the broker's log, for messages to people."""
        if not self.log_file.exists():
            return "(no log)"
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _properties_file(self) -> Path:
        return self.data_dir / "server.properties"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the broker does not run")
        return self._process

    def _choose_ports(self, port: int | None, *, login: bool) -> None:
        self._controller_port = free_port()
        self.bootstrap = f"{HOST}:{port or free_port()}"
        self.login_bootstrap = f"{HOST}:{free_port()}" if login else None

    def _configure(self, properties: Mapping[str, str]) -> None:
        clients = f"PLAINTEXT://{self.bootstrap}"
        if self.login_bootstrap:
            clients += f",LOGIN://{self.login_bootstrap}"
        controller = f"{HOST}:{self._controller_port}"
        settings = SETTINGS | {
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"{clients},CONTROLLER://{controller}",
            "advertised.listeners": clients,
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": (
                "PLAINTEXT:PLAINTEXT,LOGIN:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT"
            ),
            "log.dirs": str(self.data_dir / "log"),
        }
        if self.login_bootstrap:
            settings |= LOGIN_SETTINGS
        lines = [f"{name}={value}" for name, value in (settings | dict(properties)).items()]
        self._properties_file.write_text("\n".join(lines) + "\n")

    def _format(self, users: Mapping[str, str]) -> None:
        """Give new storage its identity; storage that has one is left as it is."""
        identity = self.data_dir / "log" / "meta.properties"
        if identity.exists():
            lines = identity.read_text().splitlines()
            self._cluster = next(s.partition("=")[2] for s in lines if s.startswith("cluster.id="))
            return
        scram = [f"SCRAM-SHA-256=[name={name},password={word}]" for name, word in users.items()]
        adding = [argument for user in scram for argument in ("--add-scram", user)]
        where = ["-c", str(self._properties_file)]
        self._tool("kafka.tools.StorageTool", "format", "-t", self._cluster, *where, *adding)

    def _tool(self, *arguments: str) -> None:
        with self.log_file.open("ab") as log:
            done = subprocess.run(
                self._command(*arguments, memory="128m"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode != 0:
            raise BrokerUnavailableError(f"{arguments[0]} failed:\n{self.log_tail()}")

    def _command(self, *arguments: str, memory: str) -> list[str]:
        # the quick compiler alone and the serial collector: small and soon there, on few cores
        flags = [f"-Xmx{memory}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        # warnings only: a failed start logs its reason and then hundreds of lines of stopping
        logger = "-Dorg.slf4j.simpleLogger."
        logging = [f"{logger}defaultLogLevel=warn", f"{logger}showDateTime=true"]
        logging.append(f"{logger}dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX")
        return [str(self._java), *flags, *logging, "-cp", f"{self._jars}/*", *arguments]

    def _why_not(self) -> str | None:
        """Why waiting longer is useless, or None."""
        status = self._running().poll()
        return None if status is None else f"Kafka ended with {status}:\n{self.log_tail()}"

    def _end(self, how: signal.Signals) -> None:
        """Signal exactly the process that we started, and wait until it is gone."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGCONT)  # a frozen process cannot end in order
            process.send_signal(how)
            try:
                process.wait(STOP_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._say(f"the broker took over {STOP_GRACE_SECONDS:.0f} s to stop: killed")
                process.kill()
                process.wait()
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            watchdog.kill()
            watchdog.communicate()
