"""Which files are sent, and their lines in one numbering."""

import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import zstandard

from peerview_tools.fhir_files import (
    UnreadableFileError,
    is_lines,
    looks_like_lines,
    open_packed,
    parse,
)

NAMES: Final = (".ndjson", ".jsonl", ".json")
PACKED: Final = (".gz", ".zst")
TOLD_EVERY: Final = 250
"""Lines."""
FIRST: Final = "organization"
"""Files named so go first: episodes are read with the organisations known by then."""


def find(paths: Iterable[Path]) -> list[Path]:
    """The files named, and all in the folders named that look like records, in order.

    Raises UnreadableFileError for what is not there or may not be read, and when there is none.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = [each for each in sorted(path.rglob("*")) if _looks_right(each, path)]
            if not inside:
                names = ", ".join(f"*{name}" for name in NAMES)
                raise UnreadableFileError(f"{path}: no file {names} in it (.gz and .zst too)")
            found.update(dict.fromkeys(inside))
        else:
            try:
                with path.open("rb"):
                    found[path] = None
            except OSError as error:
                raise UnreadableFileError(f"{path}: {error.strerror or error}") from error
    return sorted(found, key=lambda path: not path.name.lower().startswith(FIRST))


def _looks_right(path: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    plain = path.with_suffix("") if path.suffix in PACKED else path
    return path.is_file() and not hidden and plain.suffix in NAMES


@dataclass(frozen=True, slots=True)
class Line:
    """``data`` ends with a line end."""

    number: int
    """In all files, from 1."""
    file: Path
    in_file: int
    """In its own file, from 1."""
    data: bytes


class Lines:
    """The lines of all files, one after the other. A Bundle or resource file is one line.

    ``read`` is told of the bytes read, as they lie on the disk.
    """

    def __init__(self, files: Iterable[Path], read: Callable[[int], object]) -> None:
        self._files = list(files)
        self._read = read
        self.counts: dict[Path, int] = {}
        """Lines of each file that has been read to its end."""

    def from_line(self, number: int) -> Iterator[Line]:
        """Those from ``number`` on. Files that are known to end before it are not opened.

        Raises UnreadableFileError.
        """
        before = 0
        for path in self._files:
            known = self.counts.get(path)
            if known is not None and before + known < number:
                self._read(path.stat().st_size)
                before += known
                continue
            count = 0
            for count, data in enumerate(self._data(path), 1):
                if before + count >= number:
                    yield Line(before + count, path, count, data)
            self.counts[path] = count
            before += count

    def _data(self, path: Path) -> Iterator[bytes]:
        told = 0
        try:
            with path.open("rb") as raw, open_packed(raw, path.suffix) as file:
                lines = file if is_lines(path) else _one_line(path, file)
                for count, data in enumerate(lines):
                    yield data if data.endswith(b"\n") else data + b"\n"
                    if count % TOLD_EVERY == 0:
                        place = raw.tell()
                        self._read(place - told)
                        told = place
        except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise UnreadableFileError(f"{path}: {reason or error}") from error
        self._read(path.stat().st_size - told)


def _one_line(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    """A file that is one document as a line; one of lines, in spite of its name, line by line."""
    whole = file.read()
    try:
        document = parse(whole)
    except ValueError as error:
        if not looks_like_lines(whole):
            raise UnreadableFileError(f"{path}: not JSON: {error}") from error
        yield from io.BytesIO(whole)
    else:
        yield json.dumps(document, separators=(",", ":")).encode()
