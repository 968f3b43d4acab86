"""`peerview attack`: the attacker over share's database, and its report."""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from peerview_common.catalogue import catalogue
from peerview_common.days import from_millis
from peerview_share.attack.attacker import attack
from peerview_share.attack.finding import Report
from peerview_share.attack.words import words
from peerview_share.store import attacks, release_log
from peerview_share.store.database import Database

FOUND, UNREADABLE = 1, 2


def run(url: str, *, as_json: bool, last: bool = False) -> int:
    """0 when nothing was found, 1 on any find, 2 when the database cannot be read, or when no night
    has ended yet whose report could be."""
    try:
        found = _read(url, _last if last else _attack)
    except (SQLAlchemyError, FileNotFoundError) as error:
        print(f"share's database cannot be read: {error}", file=sys.stderr)
        return UNREADABLE
    if found is None:
        print("no night has ended yet: the service attacks once a day", file=sys.stderr)
        return UNREADABLE
    when, seconds, report = found
    if as_json:
        told = {"at": when.isoformat(), "seconds": round(seconds, 3), "finds": len(report.finds)}
        sys.stdout.write(msgspec.json.encode(told | asdict(report)).decode() + "\n")
    else:
        sys.stdout.write(words(report, when=f"{when:%d %B %Y, %H:%M} UTC", seconds=seconds))
    return FOUND if report.finds else 0


Ended = tuple[datetime, float, Report]
"""When it ended, the seconds that it took, and what it found."""


def _attack(connection: Connection) -> Ended:
    began = time.perf_counter()
    report = attack(release_log.read(connection, catalogue()))
    return datetime.now(UTC), time.perf_counter() - began, report


def _last(connection: Connection) -> Ended | None:
    for kept in attacks.newest(connection, 1):
        return from_millis(kept.at), kept.seconds, kept.report
    return None


def _read(url: str, look: Callable[[Connection], Ended | None]) -> Ended | None:
    parsed = make_url(url)
    file = parsed.database
    if parsed.get_backend_name() == "sqlite" and file and not Path(file).exists():
        # SQLite would make an empty one
        raise FileNotFoundError(f"there is no file {file}")
    database = Database(url)
    try:
        with database.read() as connection:
            return look(connection)
    finally:
        database.close()
