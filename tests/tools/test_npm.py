"""What npm fetches is fetched once, and is what was pinned."""

import base64
import hashlib
from pathlib import Path

import pytest

from peerview_tools.npm import NpmError, fetched_package


def npm_that(tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An `npm` on the path that does what the script says, `$5` being where the archive goes."""
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir(exist_ok=True)
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/usr/bin:/bin")
    monkeypatch.setenv("PEERVIEW_CACHE", str(tmp_path / "cache"))


PINNED = "sha512-" + base64.b64encode(hashlib.sha512(b"archive").digest()).decode()


def fetched(said: list[str] | None = None, pin: str = PINNED) -> Path:
    return fetched_package("some.package", "1.2", pin, "1 MB", (said or []).append)


def test_a_package_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm_that(tmp_path, '[ "$2" = some.package@1.2 ] && printf archive > "$5/x.tgz"', monkeypatch)
    assert fetched().read_bytes() == b"archive"
    npm_that(tmp_path, "exit 1", monkeypatch)
    assert fetched().read_bytes() == b"archive"


def test_another_archive_than_the_pinned_one_is_refused_fetched_or_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm_that(tmp_path, 'printf other > "$5/x.tgz"', monkeypatch)
    with pytest.raises(NpmError, match="not the archive that was pinned"):
        fetched()
    npm_that(tmp_path, 'printf archive > "$5/x.tgz"', monkeypatch)
    fetched().write_bytes(b"changed")
    with pytest.raises(NpmError, match="not the archive that was pinned"):
        fetched()


def test_a_failure_shows_what_npm_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm_that(tmp_path, "echo no such package; exit 1", monkeypatch)
    with pytest.raises(NpmError, match=r"could not fetch(.|\n)*no such package"):
        fetched()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NpmError, match="npm is needed"):
        fetched()
