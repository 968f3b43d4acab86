"""The product as any user calls it: the `peerview evaluate` command, and nothing of its code."""

import json
import os
import subprocess
import sys
from pathlib import Path

from .patients import bundles, loose_documents


def command():
    """The installed command, beside the Python that runs the tests; a missing one is an error."""
    found = Path(sys.executable).with_name("peerview")
    assert found.exists(), f"{found} is missing: `make env` makes it"
    return str(found)


def peerview_evaluate(files, practice, as_of, register_all=False):
    flags = ["--register-all"] if register_all else []
    said = subprocess.run(
        [command(), "evaluate", "--practice", practice, "--as-of", str(as_of), "--patients", *flags]
        + [str(file) for file in files],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert said.returncode == 0, f"exit {said.returncode}: {said.stderr[-3000:]}"
    return json.loads(said.stdout)


def write_ndjson(path, documents):
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return path


def write_files(folder, patients):
    """The patients as two NDJSON files and a file for each Bundle."""
    loose = loose_documents(patients)
    half = len(loose) // 2
    files = [
        write_ndjson(folder / "one.ndjson", loose[:half]),
        write_ndjson(folder / "two.ndjson", loose[half:]),
    ]
    for number, bundle in enumerate(bundles(patients)):
        path = folder / f"bundle-{number}.json"
        path.write_text(json.dumps(bundle, indent=1))
        files.append(path)
    return files
