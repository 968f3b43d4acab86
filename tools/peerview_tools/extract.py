"""`peerview send-extract` and `peerview extracts`: a supplier's daily files to ingest, and what is
held of them."""

import gzip
import json
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote, urlencode

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from peerview_ingest.extracts import catalogue
from peerview_ingest.extracts.mapping import Mapping as TableMapping
from peerview_ingest.extracts.mapping import MappingError
from peerview_tools.client import Answer, Client, refusal
from peerview_tools.demo.steps import make_console

CHUNK: Final = 65_536
TIMEOUT_S: Final = 900.0
"""A large table's last rows, and what vanished, are worked off before the answer comes."""
PACKED: Final = ".gz"
FULL: Final = "full"

TAKEN, NOT_ALL, UNREADABLE = 0, 1, 2


class FilesError(ValueError):
    """A folder in which a table's file is missing, or is not the only one."""


@dataclass(frozen=True)
class TableFile:
    table: str
    path: Path

    def size(self) -> int:
        """How many bytes will be sent of it."""
        if self.path.suffix != PACKED:
            return self.path.stat().st_size
        with self.open() as file:
            return sum(map(len, iter(partial(file.read, CHUNK), b"")))

    def open(self) -> IO[bytes]:
        if self.path.suffix == PACKED:
            return gzip.open(self.path, "rb")
        return self.path.open("rb")


def find_mapping(text: str) -> TableMapping:
    """A mapping by its file, or a shipped one by its name. Raises MappingError, OSError."""
    if text.endswith(catalogue.SUFFIX):
        return catalogue.load(Path(text))
    for mapping in catalogue.shipped():
        if mapping.name == text:
            return mapping
    names = ", ".join(mapping.name for mapping in catalogue.shipped())
    raise MappingError(f"no mapping is called {text}: give a file, or one of {names}")


def find_files(folder: Path, mapping: TableMapping, day: date, mode: str) -> list[TableFile]:
    """The file of each table. Where several fit, the one with the day in its name.

    A delta may lack tables, a full extract may not. Raises FilesError.
    """
    found, missing = [], []
    for name, table in mapping.tables.given():
        paths = sorted({*folder.glob(table.file), *folder.glob(table.file + PACKED)})
        if len(paths) > 1:
            marks = (day.isoformat(), f"{day:%Y%m%d}")
            paths = [path for path in paths if any(mark in path.name for mark in marks)]
            if len(paths) != 1:
                raise FilesError(f"{name}: not one file {table.file} of {day} in {folder}")
        if paths:
            found.append(TableFile(name, paths[0]))
        else:
            missing.append(f"{name} ({table.file})")
    if missing and (mode == FULL or not found):
        raise FilesError(f"no file in {folder} for: {', '.join(missing)}")
    return found


def submit(
    client: Client,
    files: Sequence[TableFile],
    *,
    day: date,
    mode: str,
    mapping: str,
    advance: Callable[[int], object] = lambda _: None,
) -> Answer:
    """Send the files as one drop; ``advance`` is told of bytes sent."""
    boundary = f"peerview-{uuid.uuid4().hex}"
    address = f"/v1/extracts/{day}?{urlencode({'mode': mode, 'mapping': mapping})}"
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return client.request("PUT", address, _body(files, boundary, advance), headers)


def _body(
    files: Sequence[TableFile], boundary: str, advance: Callable[[int], object]
) -> Iterator[bytes]:
    for each in files:
        yield (
            f"--{boundary}\r\n"
            f'Content-Disposition: form-data; name="{each.table}"; filename="{each.table}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        with each.open() as file:
            while chunk := file.read(CHUNK):
                yield chunk
                advance(len(chunk))
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def send(
    folder: Path,
    *,
    day: date,
    mapping: str,
    mode: str,
    url: str,
    token: str,
    practice: str | None,
    confirm: bool,
) -> int:
    """0: all was taken. 1: rows were rejected, the drop is held, or it was refused. 2: the files
    or the mapping cannot be read."""
    console = make_console(stderr=True)
    try:
        mapped = find_mapping(mapping)
        files = find_files(folder, mapped, day, mode)
        sizes = {each.table: each.size() for each in files}
    except (MappingError, FilesError, OSError) as error:
        print(f"peerview send-extract: {error}", file=sys.stderr)
        return UNREADABLE
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    headers = {"ODS-Code": practice} if practice else {}
    with Client(url, lambda: token, timeout=TIMEOUT_S, headers=headers) as client:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(f"{mapped.name} {day}", total=sum(sizes.values()))
            answer = submit(
                client, files, day=day, mode=mode, mapping=mapped.name,
                advance=partial(progress.advance, task),
            )  # fmt: skip
        if answer.status >= 300:
            print(f"peerview send-extract: {refusal('PUT', url, answer)}", file=sys.stderr)
            _tell_reasons(files, _report_in(answer))
            return NOT_ALL
        report = answer.json()
        _tell(files, report)
        if not report["held"]:
            return NOT_ALL if _rejected(report) else TAKEN
        _tell_held(report)
        if confirm or (sys.stdin.isatty() and _asked()):
            return _decide(client, "POST", day, report["source"])
        print(
            f"`peerview extracts confirm {day}` deletes them, `reject` leaves them as they are",
            file=sys.stderr,
        )
        return NOT_ALL


def _asked() -> bool:
    import typer

    return typer.confirm("Delete these records?", default=False, err=True)


def _report_in(answer: Answer) -> Mapping[str, Any]:
    try:
        found = answer.json().get("report")
    except (ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def _tell(files: Sequence[TableFile], report: Mapping[str, Any]) -> None:
    """Reasons to standard error, counts as one line of JSON to standard output."""
    _tell_reasons(files, report)
    names = ("rows", "accepted", "unchanged", "dropped", "rejected")
    told = {key: report[key] for key in ("date", "mode", "source", "state", "held")}
    tables = {name: {key: table[key] for key in names} for name, table in report["tables"].items()}
    more = {key: report[key] for key in ("deleted", "waits_for", "why") if key in report}
    print(json.dumps({**told, "tables": tables, **more, "positions": report["positions"]}))


ALIKE: Final = 3
"""Rows of a table that are told one by one of each reason; of the rest how many there are."""


def _tell_reasons(files: Sequence[TableFile], report: Mapping[str, Any]) -> None:
    paths = {each.table: each.path for each in files}
    for name, table in report.get("tables", {}).items():
        path = paths.get(name, name)
        for kind, reasons in (("", table["rejections"]), ("warning: ", table["warnings"])):
            alike: Counter[str] = Counter()
            for found in reasons:
                column = f"{found['column']}: " if found["column"] else ""
                why = f"{kind}{column}{found['reason']}"
                alike[why] += 1
                if alike[why] <= ALIKE:
                    print(f"{path}:{found['line']}: {why}", file=sys.stderr)
            for why, number in alike.items():
                if number > ALIKE:
                    print(f"{path}: {number - ALIKE} more rows: {why}", file=sys.stderr)
        untold = table["rejected"] - len(table["rejections"])
        if untold > 0:
            print(f"{path}: {untold} further rows were rejected", file=sys.stderr)


def _rejected(report: Mapping[str, Any]) -> int:
    return sum(table["rejected"] for table in report["tables"].values())


WHY: Final = {
    "records-vanished": "{number} of {of} records are not in this extract any more",
    "patients-vanished": "{number} of {of} patients have none left in this extract",
    "rows-rejected": "{number} of {of} rows were rejected",
    "rows-unreadable": "{number} of {of} rows could not be read, and may be some that seem gone",
}


def _tell_held(report: Mapping[str, Any]) -> None:
    print("held: what is new and changed was taken, nothing was deleted:", file=sys.stderr)
    for found in report["why"]:
        print(f"  {found['table']}: {WHY[found['reason']].format(**found)}", file=sys.stderr)


def _decide(client: Client, method: str, day: date, source: str | None) -> int:
    path = "confirm" if method == "POST" else "held"
    query = f"?source={quote(source)}" if source else ""
    answer = client.request(method, f"/v1/extracts/{day}/{path}{query}")
    if answer.status >= 300:
        print(f"peerview extracts: {refusal(method, client.url, answer)}", file=sys.stderr)
        return NOT_ALL
    print(json.dumps(answer.json()))
    return TAKEN


def decide(
    day: date, *, confirm: bool, source: str | None, url: str, token: str, practice: str | None
) -> int:
    headers = {"ODS-Code": practice} if practice else {}
    with Client(url, lambda: token, timeout=TIMEOUT_S, headers=headers) as client:
        return _decide(client, "POST" if confirm else "DELETE", day, source)


def show(*, url: str, token: str, practice: str | None, as_json: bool) -> int:
    """The practice's drops, the newest first."""
    headers = {"ODS-Code": practice} if practice else {}
    with Client(url, lambda: token, headers=headers) as client:
        found = client.get("/v1/extracts")
    if as_json:
        print(json.dumps(found, indent=2))
        return TAKEN
    table = Table("date", "mode", "source", "state", "rows", "rejected", "deleted", "began")
    for each in found["extracts"]:
        counts = each["tables"].values()
        table.add_row(
            each["date"],
            each["mode"],
            each["source"],
            f"[bold]{each['state']}[/]" if each["held"] else each["state"],
            str(sum(one["rows"] for one in counts)),
            str(sum(one["rejected"] for one in counts)),
            str(sum(each.get("deleted", {}).values())),
            each["began"],
        )
    make_console().print(table)
    return TAKEN


def check(files: Sequence[Path]) -> int:
    """Check mapping files; 1 where one has mistakes, each told by file, line and field."""
    worst = TAKEN
    for path in files:
        try:
            mapping = catalogue.load(path)
        except (MappingError, OSError) as error:
            print(error, file=sys.stderr)
            worst = NOT_ALL
            continue
        tables = ", ".join(name for name, _ in mapping.tables.given())
        sources = ", ".join(mapping.sources) or "none"
        print(f"{path}: {mapping.name} {mapping.version}; sources: {sources}; tables: {tables}")
    return worst


def example(folder: Path, *, supplier: str, practice: str, day: date) -> int:
    """Write a made-up practice's drop; 2 where there is no such supplier or practice."""
    from peerview_tools.simulator import PRACTICES, history
    from peerview_tools.simulator.extracts import SUPPLIERS, write

    chosen = {each.ods: each for each in PRACTICES}.get(practice)
    if supplier not in SUPPLIERS or chosen is None:
        known = f"suppliers {', '.join(SUPPLIERS)}; practices {', '.join(p.ods for p in PRACTICES)}"
        print(f"peerview extracts example: there are {known}", file=sys.stderr)
        return UNREADABLE
    for path in write(supplier, folder, practice, day, history(chosen, day)):
        print(path)
    return TAKEN
