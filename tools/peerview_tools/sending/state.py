"""What is remembered of an upload that has not ended, so that the same command goes on with it."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

FORMAT: Final = 1


def folder() -> Path:
    """``$XDG_STATE_HOME/peerview/send``, by default under ``~/.local/state``."""
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "peerview" / "send"


def fingerprint(files: Sequence[Path]) -> list[list[Any]]:
    """Equal only for the same files that nobody has written to meanwhile."""
    found: list[list[Any]] = []
    for path in files:
        known = path.stat()
        found.append([str(path.resolve()), known.st_size, known.st_mtime_ns])
    return found


@dataclass
class State:
    """One file a command: the same files to the same address for the same practice."""

    path: Path
    files: list[list[Any]]
    full: bool
    upload: str = ""
    """Empty while none has begun."""
    next_line: int = 1
    counts: dict[str, int] = field(default_factory=dict)
    """Lines of files that were read to their end, by path."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Of what was refused: how often each."""
    warnings: Counter[str] = field(default_factory=Counter)
    """The same of what was taken and counts otherwise than meant, perhaps."""

    @classmethod
    def of(
        cls, url: str, practice: str | None, files: Sequence[Path], *, full: bool
    ) -> "tuple[Self, str | None]":
        """The state, and why what was there could not be used, if so."""
        marks = fingerprint(files)
        named = json.dumps([url.rstrip("/"), practice, [mark[0] for mark in marks]])
        path = folder() / f"{hashlib.sha256(named.encode()).hexdigest()[:16]}.json"
        fresh = cls(path, marks, full)
        try:
            kept = json.loads(path.read_text())
            if kept["format"] != FORMAT:
                return fresh, None
            found = cls(
                path,
                kept["files"],
                kept["full"],
                kept["upload"],
                kept["next_line"],
                kept["counts"],
                Counter(kept["reasons"]),
                Counter(kept.get("warnings")),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return fresh, None
        if found.files != marks:
            return fresh, "the files have changed since"
        if found.full != full:
            return fresh, "that was with --full, or without it"
        return found, None

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        body: Mapping[str, Any] = {
            "format": FORMAT,
            "files": self.files,
            "full": self.full,
            "upload": self.upload,
            "next_line": self.next_line,
            "counts": self.counts,
            "reasons": self.reasons,
            "warnings": self.warnings,
        }
        draft = self.path.with_suffix(".new")
        draft.write_text(json.dumps(body))
        draft.replace(self.path)

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)

    def anew(self) -> None:
        """Begin with the first line of a new upload."""
        self.upload, self.next_line = "", 1
        self.reasons.clear()
        self.warnings.clear()
