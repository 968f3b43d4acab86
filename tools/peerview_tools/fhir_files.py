"""FHIR files as people have them: NDJSON, or one Bundle or resource; plain, gzip or zstd."""

import gzip
import io
import json
import shutil
import tempfile
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final, cast

import zstandard

LINES: Final = (".ndjson", ".jsonl")
PACKED: Final = (".gz", ".zst")
_BOM: Final = b"\xef\xbb\xbf"
_FIRST_BYTES: Final = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}

Report = Callable[[str, str], None]
"""Is told ``(place, reason)`` of what cannot be read."""


class UnreadableFileError(RuntimeError):
    """A file that is not there, may not be read, or is damaged; the message names it."""


def open_bytes(path: Path) -> IO[bytes]:
    """The file's content, unpacked as its name says, else as its first bytes say. Raises OSError;
    reading on, EOFError where a packed file ends too early, and what else zlib and zstandard
    raise."""
    suffix = path.suffix if path.suffix in PACKED else _packing(path)
    if suffix == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    return open_packed(path.open("rb"), suffix)


def _packing(path: Path) -> str:
    """How a file is packed whose name does not say; no JSON begins with these bytes."""
    with path.open("rb") as file:
        begin = file.read(4)
    return next((suffix for first, suffix in _FIRST_BYTES.items() if begin.startswith(first)), "")


def open_packed(raw: IO[bytes], suffix: str) -> IO[bytes]:
    """The content of an open file, unpacked as the end of its name says."""
    if suffix == ".gz":
        return cast(IO[bytes], gzip.open(raw, "rb"))
    if suffix == ".zst":
        return io.BufferedReader(_Zstd(raw), 1 << 20)
    return raw


class _Zstd(io.RawIOBase):
    """A zstd file of any number of frames. The library's own reader takes one that was cut off for
    a shorter one."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._decompressor = zstandard.ZstdDecompressor()
        self._frame = self._decompressor.decompressobj()
        self._begun = False
        self._packed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._raw.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            self._packed = self._packed or self._raw.read(65_536)
            if not self._packed:
                if self._begun and not self._frame.eof:
                    raise EOFError("it ends before its end: the file was cut off")
                return 0
            if self._frame.eof:
                self._frame = self._decompressor.decompressobj()
            self._begun = True
            self._ready = memoryview(self._frame.decompress(self._packed))
            self._packed = self._frame.unused_data
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


def is_lines(path: Path) -> bool:
    """Whether the name alone says that it is NDJSON."""
    name = path.with_suffix("") if path.suffix in PACKED else path
    return name.suffix in LINES


class Documents:
    """The parsed documents of files, in order. Each iteration reads and parses them anew.

    What is no JSON is told to ``report`` the first time, and left out. ``place(n)`` says where the
    n-th document stood. Raises UnreadableFileError.
    """

    def __init__(self, paths: Sequence[Path], report: Report) -> None:
        self._paths = list(paths)
        self._report = report
        self._files = array("l")
        self._lines = array("l")
        self._known = False
        self._kept: dict[Path, IO[bytes]] = {}
        """What pipes gave: they can be read only once."""
        self.broken = 0
        """How many documents were no JSON."""

    def place(self, number: int) -> str:
        return f"{self._paths[self._files[number]]}:{self._lines[number]}"

    def __iter__(self) -> Iterator[object]:
        first, self._known = not self._known, True
        for n, path in enumerate(self._paths):
            for line, document in self._documents(path, first):
                if first:
                    self._files.append(n)
                    self._lines.append(line)
                yield document

    def _documents(self, path: Path, first: bool) -> Iterator[tuple[int, object]]:
        try:
            if not is_lines(path):
                with self._open(path) as file:
                    whole = file.read()
                try:
                    yield 1, parse(whole)
                    return
                except ValueError as error:
                    if not looks_like_lines(whole):
                        self._broken(f"{path}:{getattr(error, 'lineno', 1)}", str(error), first)
                        return
                yield from self._parsed_lines(path, io.BytesIO(whole), first)
                return
            with self._open(path) as file:
                yield from self._parsed_lines(path, file, first)
        except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise UnreadableFileError(f"cannot read {path}: {reason or error}") from error

    def _open(self, path: Path) -> IO[bytes]:
        if path.is_file() or path.is_dir() or not path.exists():
            return open_bytes(path)
        if path not in self._kept:
            # readable by this user alone, and gone when it is closed
            kept = tempfile.NamedTemporaryFile(suffix=path.suffix)  # noqa: SIM115
            with path.open("rb") as pipe:
                shutil.copyfileobj(pipe, kept)
            kept.flush()
            self._kept[path] = cast(IO[bytes], kept)
        return open_bytes(Path(self._kept[path].name))

    def _parsed_lines(
        self, path: Path, file: IO[bytes], first: bool
    ) -> Iterator[tuple[int, object]]:
        for number, line in enumerate(file, 1):
            if not line.strip() or line.strip() == _BOM:
                continue
            try:
                document = parse(line)
            except ValueError as error:
                self._broken(f"{path}:{number}", str(error), first)
                continue
            yield number, document

    def _broken(self, place: str, reason: str, first: bool) -> None:
        if first:
            self.broken += 1
            self._report(place, f"not JSON: {reason}")


def parse(data: bytes) -> Any:
    """One JSON value. ValueError (with ``lineno`` where that is known) when it is none."""
    try:
        text = data.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start + 1}") from error
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def looks_like_lines(whole: bytes) -> bool:
    """Whether one of the first lines is a JSON object by itself."""
    for line in whole.removeprefix(_BOM).splitlines()[:20]:
        try:
            if isinstance(parse(line), dict):
                return True
        except ValueError:
            continue
    return False
