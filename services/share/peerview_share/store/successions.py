"""Mergers: a successor starts a series of its own, and the gate remembers its predecessors."""

from sqlalchemy import Connection, select

from peerview_share.store import schema


def predecessors(connection: Connection, practice: str) -> list[str]:
    """Everybody whose patients the practice took over, also by way of others."""
    table = schema.successions
    found: list[str] = []
    waiting = [practice]
    while waiting:
        rows = connection.execute(
            select(table.c.predecessor)
            .where(table.c.successor == waiting.pop())
            .order_by(table.c.predecessor)
        ).scalars()
        fresh = [code for code in rows if code not in found and code != practice]
        found += fresh
        waiting += fresh
    return found
