"""Packages fetched once from npm, by npm itself, into the cache, and checked by their hash."""

import base64
import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from peerview_tools.broker_ready import Say
from peerview_tools.maven import cache_dir


class NpmError(RuntimeError):
    """The package cannot be had; the message says why."""


def fetched_package(name: str, version: str, integrity: str, size: str, say: Say) -> Path:
    """The package's archive (.tgz), fetched the first time. ``integrity`` is npm's own:
    ``sha512-`` and base64. Raises NpmError, also where the archive is not the one that was pinned.
    """
    target = cache_dir() / f"{name}-{version}.tgz"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with (target.parent / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.is_file():
                say(f"fetching {name} {version} with npm into {target.parent} ({size}, once)")
                _fetch(f"{name}@{version}", integrity, target)
    _check(target, integrity)
    return target


def _fetch(package: str, integrity: str, target: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NpmError(f"npm is needed once, to fetch {package}")
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        command = [npm, "pack", package, "--silent", "--pack-destination", scratch]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        found = list(Path(scratch).glob("*.tgz"))
        if done.returncode != 0 or not found:
            raise NpmError(f"npm could not fetch {package}:\n{done.stdout[-2000:]}")
        _check(found[0], integrity)
        found[0].rename(target)


def _check(archive: Path, integrity: str) -> None:
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if integrity != f"sha512-{found}":
        raise NpmError(f"{archive.name} is not the archive that was pinned: sha512-{found}")
