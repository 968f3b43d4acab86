"""Jars fetched once from Maven Central, by a pom of ours, into a cache."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from peerview_tools.broker_ready import Say

DEPLOY: Final = Path(__file__).resolve().parents[2] / "deploy"


class MavenError(RuntimeError):
    """The jars cannot be had; the message says what to do."""


def cache_dir() -> Path:
    """Where what is fetched once stays: `PEERVIEW_CACHE`, else `~/.cache/peerview`."""
    return Path(os.environ.get("PEERVIEW_CACHE") or Path.home() / ".cache" / "peerview")


def fetched_jars(name: str, version: str, pom: Path, size: str, say: Say) -> Path:
    """The directory of the jars that `pom` names, fetched the first time.

    Two processes that ask at once take turns; a directory that is there is complete.
    """
    low = name.lower()
    target = cache_dir() / f"{low}-{version}"
    if target.is_dir():
        return target
    maven = shutil.which("mvn")
    if maven is None:
        raise MavenError(f"Maven (mvn) is needed once, to fetch {name}'s jars")
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f"{low}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.is_dir():
            return target
        say(f"fetching {name} {version} with Maven into {target} ({size}, once)")
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            part = Path(scratch) / "jars"
            command = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
            fetched = subprocess.run(
                [*command, "-DincludeScope=runtime", f"-DoutputDirectory={part}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if fetched.returncode != 0:
                raise MavenError(f"Maven could not fetch {name}:\n{fetched.stdout}")
            part.rename(target)
    return target
