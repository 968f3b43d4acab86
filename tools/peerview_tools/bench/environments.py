"""What a measure stands beside is no part of Peerview: its pins stay out of the lock, and it gets
an environment of its own, made once in ``.cache``."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from peerview_tools.bench.surroundings import Surroundings

ROOT: Final = Path(__file__).resolve().parents[3]


def python_of(name: str) -> Path:
    return ROOT / ".cache" / name / "bin" / "python"


def environment(around: Surroundings, name: str, what: str, needed: Sequence[str]) -> Path:
    """Its Python. Makes it, where it is not there or holds something else than ``needed``."""
    venv, python = ROOT / ".cache" / name, python_of(name)
    stamp = venv / "bench-needs"
    wanted = "\n".join(needed)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    around.say(f"installing {what} into .cache/{name}")
    shutil.rmtree(venv, ignore_errors=True)
    if shutil.which("uv"):
        _do("uv", "venv", "-q", "--python", sys.executable, str(venv))
        _do("uv", "pip", "install", "-q", "--python", str(python), *needed)
    else:
        _do(sys.executable, "-m", "venv", str(venv))
        _do(str(python), "-m", "pip", "install", "-q", *needed)
    stamp.write_text(wanted)
    return python


def _do(*command: str) -> None:
    # 2 rather than sys.stderr, which is no file where something collects what is printed
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=2)
