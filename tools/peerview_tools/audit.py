"""`peerview audit`: who saw a practice's figures, and whether the log of it is whole."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from sqlalchemy.exc import SQLAlchemyError

from peerview_share.api.csv_text import table
from peerview_share.api.disclosures import COLUMNS
from peerview_share.store import chain, releases
from peerview_share.store.database import Database
from peerview_tools.client import Client, ServiceError

PAGE: Final = 1000


def run_list(
    practice: str,
    filters: Mapping[str, str],
    *,
    newest: int,
    as_csv: bool,
    url: str,
    token: str,
) -> int:
    """Print up to ``newest`` disclosures, page by page."""
    try:
        client = Client(url, lambda: token)
    except ValueError as error:
        raise ServiceError(0, str(error)) from error
    with client:
        found = _entries(client, practice, filters, newest)
        if as_csv:
            sys.stdout.write(table(COLUMNS, _lines(found)))
            return 0
        for item in found:
            what = ", ".join(f"{name} ({item['level']})" for name in item["indicators"])
            print(
                f"{item['at']}  {item['viewer']}  {item['channel']:<5}  {item['network']} "
                f"release {item['epoch']}: {what}; {item['agreement']} version "
                f"{item['agreement_version']}; {item['reader']}"
            )
    return 0


def run_verify(url: str, *, noted: Path | None, note: Path | None) -> int:
    """0 where every row follows from the one before, and every noted head is there; else 1."""
    try:
        heads_before = _read(noted) if noted is not None else []
    except (OSError, ValueError, TypeError) as error:
        print(f"peerview audit: {noted} does not hold heads: {error}", file=sys.stderr)
        return 2
    database = Database(url)
    try:
        with database.read() as connection:
            heads, breaks = chain.verify(connection, heads_before)
            breaks += releases.verify(connection)
    except SQLAlchemyError as error:
        print(f"peerview audit: {type(error).__name__}: the audit cannot be read", file=sys.stderr)
        return 2
    finally:
        database.close()
    for wrong in breaks:
        place = "" if wrong.seq is None else f" row {wrong.seq}"
        of = f" of {wrong.chain}" if wrong.chain else ""
        print(f"{wrong.table}{place}{of}: {wrong.reason}")
    rows = sum(head.rows for head in heads)
    print(f"{rows:,} rows in {len(heads)} chains, {len(breaks)} breaks")
    if breaks:
        return 1
    if note is not None:
        with note.open("a") as file:
            file.writelines(f"{json.dumps(asdict(head))}\n" for head in heads)
        print(f"heads added to {note}")
    return 0


def _read(path: Path) -> list[chain.Head]:
    return [chain.Head(**json.loads(line)) for line in path.read_text().splitlines() if line]


def _entries(
    client: Client, practice: str, filters: Mapping[str, str], newest: int
) -> Iterator[dict[str, Any]]:
    before: int | None = None
    while newest > 0:
        query = dict(filters) | {"limit": str(min(PAGE, newest))}
        if before is not None:
            query["before"] = str(before)
        page = client.get(
            f"/v1/practices/{quote(practice, safe='')}/disclosures?{urlencode(query)}"
        )
        yield from page["disclosures"]
        newest -= len(page["disclosures"])
        before = page["next"]
        if before is None:
            return


def _lines(found: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in found:
        for name, clause in item["clauses"].items():
            yield {**item, "indicator": name, "clause": clause}
