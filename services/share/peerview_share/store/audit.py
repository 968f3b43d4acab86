"""Who saw what of whom, under which agreement. Appended, never changed; the subject may read it.

Every way out of a released cell writes here before the cell goes out: what cannot be logged is not
shown.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from peerview_share.store import chain, schema
from peerview_share.store.database import Database


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Some indicators of one subject, shown to one viewer under one agreement."""

    subject: str
    viewer: str
    network: str
    epoch: int
    indicators: tuple[str, ...]
    agreement: str
    agreement_version: int
    level: str
    """How much of the subject could be seen: named, anonymous, distribution; none where the viewer
    was told only that the indicator is not shared."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which disclosures are wanted; None asks for all."""

    since: int | None = None
    """Milliseconds UTC, from then on."""
    until: int | None = None
    """Milliseconds UTC, before then."""
    viewer: str | None = None
    network: str | None = None
    indicator: str | None = None


EVERYTHING: Final = Filter()


class UnloggedError(Exception):
    """A disclosure could not be logged, so it must not be made."""


def record(
    database: Database, found: Iterable[Disclosure], *, reader: str, channel: str, at: int
) -> None:
    """Log disclosures for good. Raises UnloggedError: then nothing may be shown."""
    try:
        with database.write() as connection:
            append(connection, found, reader=reader, channel=channel, at=at)
    except SQLAlchemyError as error:
        raise UnloggedError from error


def append(
    connection: Connection, found: Iterable[Disclosure], *, reader: str, channel: str, at: int
) -> None:
    rows = [
        {
            "at": at,
            "subject": item.subject,
            "viewer": item.viewer,
            "network": item.network,
            "epoch": item.epoch,
            "indicators": json.dumps(item.indicators),
            "agreement": item.agreement,
            "agreement_version": item.agreement_version,
            "reader": reader,
            "channel": channel,
            "level": item.level,
        }
        for item in found
    ]
    chain.append(connection, schema.disclosures, rows)


def of_subject(
    connection: Connection,
    subject: str,
    chosen: Filter = EVERYTHING,
    *,
    before: int | None = None,
    limit: int,
) -> list[dict[str, Any]]:
    """Newest first; ``before`` is the ``seq`` that the page before ended with.

    ``seq`` counts the subject's own rows: the table's would tell how much was shown of others.
    """
    table = schema.disclosures
    columns = [column for column in table.columns if column.name not in ("seq", "hash")]
    number = func.row_number().over(order_by=table.c.seq).label("seq")
    rows = select(number, *columns).where(table.c.subject == subject).subquery().c
    query = select(*rows)
    if before is not None:
        query = query.where(rows.seq < before)
    if chosen.since is not None:
        query = query.where(rows.at >= chosen.since)
    if chosen.until is not None:
        query = query.where(rows.at < chosen.until)
    if chosen.viewer is not None:
        query = query.where(rows.viewer == chosen.viewer)
    if chosen.network is not None:
        query = query.where(rows.network == chosen.network)
    if chosen.indicator is not None:
        # a JSON list of ids, which hold nothing that JSON escapes
        query = query.where(rows.indicators.contains(f'"{chosen.indicator}"', autoescape=True))
    found = connection.execute(query.order_by(rows.seq.desc()).limit(limit))
    return [{**row._mapping, "indicators": json.loads(row.indicators)} for row in found]
