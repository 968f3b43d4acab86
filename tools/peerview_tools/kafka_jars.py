"""Kafka's own jars, fetched once: the most honest embedded broker is the real one."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from peerview_tools.broker_ready import BrokerUnavailableError, Say, say_on_stderr
from peerview_tools.kafka_settings import KAFKA_VERSION

POM: Final = Path(__file__).resolve().parents[2] / "deploy" / "kafka-local" / "pom.xml"


def cache_dir() -> Path:
    """Where what is fetched once stays: `PEERVIEW_CACHE`, else `~/.cache/peerview`."""
    return Path(os.environ.get("PEERVIEW_CACHE") or Path.home() / ".cache" / "peerview")


def kafka_jars(say: Say = say_on_stderr) -> Path:
    """The directory of Kafka's jars, fetched from Maven Central the first time (43 MB).

    Two processes that ask at once take turns; a directory that is there is complete.
    """
    target = cache_dir() / f"kafka-{KAFKA_VERSION}"
    if target.is_dir():
        return target
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerUnavailableError(
            "Maven (mvn) is needed once, to fetch Kafka's jars; or set PEERVIEW_KAFKA to a broker"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():
            return target
        say(f"fetching Kafka {KAFKA_VERSION} with Maven into {target} (43 MB, once)")
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            part = Path(scratch) / "jars"
            command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
            fetched = subprocess.run(
                [*command, "-DincludeScope=runtime", f"-DoutputDirectory={part}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if fetched.returncode != 0:
                raise BrokerUnavailableError(f"Maven could not fetch Kafka:\n{fetched.stdout}")
            part.rename(target)
    return target
