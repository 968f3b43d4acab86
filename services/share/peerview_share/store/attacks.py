"""What the nightly attacks found, one row each."""

from collections import Counter
from dataclasses import asdict, dataclass

import msgspec
from sqlalchemy import Connection, select

from peerview_share.attack.finding import Report
from peerview_share.store import schema


@dataclass(frozen=True, slots=True)
class Ended:
    """An attack that ended at ``at`` (milliseconds UTC)."""

    at: int
    seconds: float
    finds: dict[str, int]
    """How many of each kind."""


def append(connection: Connection, report: Report, *, at: int, seconds: float) -> Ended:
    connection.execute(
        schema.attacks.insert(),
        {
            "at": at,
            "seconds": seconds,
            "trials": sum(attack.pairs for attack in report.attacks),
            "finds": len(report.finds),
            "report": msgspec.json.encode(asdict(report)).decode(),
        },
    )
    return Ended(at, seconds, dict(Counter(find.kind.value for find in report.finds)))


@dataclass(frozen=True, slots=True)
class Kept:
    """A night's report as it was kept. ``at`` is when it ended (milliseconds UTC)."""

    at: int
    seconds: float
    trials: int
    finds: int
    report: Report


def newest(connection: Connection, limit: int) -> list[Kept]:
    table = schema.attacks
    rows = connection.execute(select(table).order_by(table.c.seq.desc()).limit(limit))
    return [
        Kept(
            row.at,
            row.seconds,
            row.trials,
            row.finds,
            msgspec.json.decode(row.report, type=Report),
        )
        for row in rows
    ]


def last(connection: Connection) -> Ended | None:
    table = schema.attacks
    row = connection.execute(select(table).order_by(table.c.seq.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    attacks = msgspec.json.decode(row.report)["attacks"]
    kinds = Counter(find["kind"] for attack in attacks for find in attack["finds"])
    return Ended(row.at, row.seconds, dict(kinds))
