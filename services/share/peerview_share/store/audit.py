"""Who saw what of whom, under which agreement. Appended, never changed; the subject may read it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from peerview_share.store import chain, schema


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
    """How much of the subject could be seen: named, anonymous or distribution."""


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
    connection: Connection, subject: str, *, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Newest first; ``before`` is the ``seq`` that the page before ended with."""
    table = schema.disclosures
    columns = [column for column in table.columns if column.name != "hash"]
    query = select(*columns).where(table.c.subject == subject)
    if before is not None:
        query = query.where(table.c.seq < before)
    rows = connection.execute(query.order_by(table.c.seq.desc()).limit(limit))
    return [{**row._mapping, "indicators": json.loads(row.indicators)} for row in rows]
