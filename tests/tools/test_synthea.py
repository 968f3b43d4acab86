"""What is asked of Synthea; a run of it takes a minute and is the demonstration's."""

import json
from pathlib import Path

import pytest

from peerview_tools import synthea


def java_that(tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `java` on the path that does what the script says, `$OUT` being Synthea's directory."""
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    find = 'for a in "$@"; do case "$a" in --exporter.baseDirectory=*) OUT="${a#*=}";; esac; done'
    java.write_text(f"#!/bin/sh\n{find}\n{script}\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{java.parent}:/usr/bin:/bin")
    monkeypatch.setenv("PEERVIEW_CACHE", str(tmp_path))
    (tmp_path / f"synthea-{synthea.SYNTHEA_VERSION}").mkdir()


def test_it_keeps_the_mapped_types_and_makes_the_same_files_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
    mkdir -p "${OUT}fhir"
    printf '%s\\n' "$@" > "$(dirname "$0")/arguments"
    for kind in Patient Claim Observation; do echo '{}' > "${OUT}fhir/$kind.ndjson"; done
    echo "1 -- Somebody (30 y/o F)"
    """
    java_that(tmp_path, script, monkeypatch)
    said: list[str] = []
    files = synthea.generate(2, 7, tmp_path / "data", say=said.append)
    assert [file.stem for file in files] == ["Patient", "Observation"]
    assert [json.loads(file.read_text()) for file in files] == [{}, {}]
    arguments = (tmp_path / "bin" / "arguments").read_text().split("\n")
    day = f"{synthea.REFERENCE_DATE:%Y%m%d}"
    for option, value in (("-s", "7"), ("-cs", "7"), ("-p", "2"), ("-r", day), ("-e", day)):
        assert arguments[arguments.index(option) + 1] == value
    assert said
    (tmp_path / "bin" / "java").write_text("#!/bin/sh\nexit 1\n")
    assert synthea.generate(2, 7, tmp_path / "data", say=said.append) == files


def test_a_failure_shows_what_synthea_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java_that(tmp_path, "echo out of memory; exit 3", monkeypatch)
    with pytest.raises(synthea.SyntheaError, match=r"ended with 3(.|\n)*out of memory"):
        synthea.generate(2, 7, tmp_path / "data", say=lambda text: None)
    assert list((tmp_path / "data").iterdir()) == []
