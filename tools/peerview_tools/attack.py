"""`peerview attack`: the attacker over share's database, and its report."""

import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from peerview_common.catalogue import catalogue
from peerview_share.attack.attacker import attack
from peerview_share.attack.finding import Report
from peerview_share.attack.words import words
from peerview_share.store import release_log
from peerview_share.store.database import Database

FOUND, UNREADABLE = 1, 2


def run(url: str, *, as_json: bool) -> int:
    """0 when nothing was found, 1 on any find, 2 when the database cannot be read."""
    began = time.perf_counter()
    try:
        report = _attack(url)
    except (SQLAlchemyError, FileNotFoundError) as error:
        print(f"share's database cannot be read: {error}", file=sys.stderr)
        return UNREADABLE
    seconds = time.perf_counter() - began
    now = datetime.now(UTC)
    if as_json:
        found = {"at": now.isoformat(), "seconds": round(seconds, 3), "finds": len(report.finds)}
        sys.stdout.write(msgspec.json.encode(found | asdict(report)).decode() + "\n")
    else:
        sys.stdout.write(words(report, when=f"{now:%d %B %Y, %H:%M} UTC", seconds=seconds))
    return FOUND if report.finds else 0


def _attack(url: str) -> Report:
    parsed = make_url(url)
    file = parsed.database
    if parsed.get_backend_name() == "sqlite" and file and not Path(file).exists():
        # SQLite would make an empty one
        raise FileNotFoundError(f"there is no file {file}")
    database = Database(url)
    try:
        with database.read() as connection:
            return attack(release_log.read(connection, catalogue()))
    finally:
        database.close()
