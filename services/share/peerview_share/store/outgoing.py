"""What is to be sent, and what was: the outbox of events, and the views on topics."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from peerview_share.store import schema
from peerview_share.store.database import upsert


@dataclass(frozen=True, slots=True)
class Outgoing:
    seq: int
    topic: str
    key: str
    type: str
    value: bytes


def waiting(connection: Connection, limit: int = 500) -> list[Outgoing]:
    """The oldest events first."""
    table = schema.outbox
    columns = [table.c[name] for name in Outgoing.__slots__]
    rows = connection.execute(select(*columns).order_by(table.c.seq).limit(limit))
    return [Outgoing(*row) for row in rows]


def sent(connection: Connection, events: Iterable[Outgoing]) -> None:
    numbers = [event.seq for event in events]
    connection.execute(delete(schema.outbox).where(schema.outbox.c.seq.in_(numbers)))


def views(connection: Connection) -> dict[str, dict[str, str]]:
    """``{topic: {key: digest}}`` of all that may be on topics."""
    found: dict[str, dict[str, str]] = {}
    for row in connection.execute(select(schema.published_views)):
        found.setdefault(row.topic, {})[row.key] = row.digest
    return found


def save_views(connection: Connection, topic: str, digests: dict[str, str]) -> None:
    rows = [{"topic": topic, "key": key, "digest": digest} for key, digest in digests.items()]
    upsert(connection, schema.published_views, rows, update=("digest",))


def drop_views(connection: Connection, topic: str, keys: Iterable[str]) -> None:
    table = schema.published_views
    connection.execute(delete(table).where(table.c.topic == topic, table.c.key.in_(list(keys))))
