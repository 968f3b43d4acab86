"""`peerview send`: FHIR files to ingest, one submission a file."""

import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from peerview_tools.client import Answer, Client, ServiceError, refusal
from peerview_tools.demo.actions import NDJSON
from peerview_tools.demo.steps import make_console
from peerview_tools.fhir_files import UnreadableFileError, is_lines, open_bytes, parse

CHUNK: Final = 65_536
ENCODINGS: Final = {".gz": "gzip", ".zst": "zstd"}


def run(files: Sequence[Path], *, url: str, token: str, practice: str | None) -> int:
    """0 when all was taken, 1 when a file or a resource was not, 2 when one is unreadable."""
    console = make_console(stderr=True)
    headers = {"ODS-Code": practice} if practice else {}
    worst = 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Client(url, lambda: token, timeout=300, headers=headers) as client:
        for path in files:
            try:
                with Progress(*columns, console=console, transient=True) as progress:
                    task = progress.add_task(path.name, total=size_of(path))
                    answer = submit(client, path, partial(progress.advance, task))
            except (UnreadableFileError, OSError) as error:
                print(f"{path}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
                worst = 2
                continue
            except ServiceError as error:
                print(f"{path}: {error}", file=sys.stderr)
                return 1
            if answer.status >= 300:
                print(f"{path}: {refusal('POST', url, answer)}", file=sys.stderr)
                return 1
            rejected = _tell(path, answer.json())
            worst = max(worst, 1 if rejected else 0)
    return worst


def size_of(path: Path) -> int:
    """How many bytes `submit` will say that it has sent."""
    return path.stat().st_size if is_lines(path) else len(_as_line(path))


def submit(client: Client, path: Path, advance: Callable[[int], object]) -> Answer:
    """Send a file as one submission; ``advance`` is told of bytes sent.

    Raises UnreadableFileError, OSError, or ServiceError when nothing answers.
    """
    if is_lines(path):
        # sent as it lies there: ingest unpacks it
        headers = {"Content-Type": NDJSON}
        if path.suffix in ENCODINGS:
            headers["Content-Encoding"] = ENCODINGS[path.suffix]
        with path.open("rb") as file:
            return client.request("POST", "/v1/bulk", _chunks(file, advance), headers)
    # a Bundle or a resource goes as one line, so that every file's receipt has one form
    chunks = _chunks(io.BytesIO(_as_line(path)), advance)
    return client.request("POST", "/v1/bulk", chunks, {"Content-Type": NDJSON})


def _as_line(path: Path) -> bytes:
    with open_bytes(path) as file:
        try:
            return json.dumps(parse(file.read())).encode() + b"\n"
        except ValueError as error:
            raise UnreadableFileError(f"not JSON: {error}") from error


def _chunks(file: IO[bytes], advance: Callable[[int], object]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk
        advance(len(chunk))


def _tell(path: Path, receipt: Any) -> int:
    """Print what became of a file; returns how many resources were rejected."""
    for found in receipt["rejections"]:
        where = f"{path}:{found['line']}" if is_lines(path) else str(path)
        print(f"{where}: {found['place']}: {found['reason']}", file=sys.stderr)
    counts = {name: receipt[name] for name in ("accepted", "dropped", "rejected", "unchanged")}
    print(json.dumps({"file": str(path), **counts, "positions": receipt["positions"]}))
    return int(receipt["rejected"])
