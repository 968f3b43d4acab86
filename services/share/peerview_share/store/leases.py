"""One leader among the replicas: a row with a holder and an end."""

from collections.abc import Callable

from sqlalchemy import Connection, or_, select, update

from peerview_share.store import schema
from peerview_share.store.database import Database, upsert


class LostLeaseError(Exception):
    """Another replica leads: nothing more may be written as leader."""


class Lease:
    """``clock`` is milliseconds UTC and must not differ between replicas by more than the term."""

    def __init__(
        self, database: Database, name: str, holder: str, *, clock: Callable[[], int], term_ms: int
    ) -> None:
        self._database = database
        self._name = name
        self._holder = holder
        self._clock = clock
        self._term_ms = term_ms

    def hold(self) -> bool:
        """Take it, or make it last longer. False while somebody else has it."""
        now = self._clock()
        row = {"name": self._name, "holder": self._holder, "expires_at": now + self._term_ms}
        table = schema.leases
        with self._database.write() as connection:
            upsert(connection, table, [row | {"expires_at": 0}])
            done = connection.execute(
                update(table)
                .where(
                    table.c.name == self._name,
                    or_(table.c.holder == self._holder, table.c.expires_at < now),
                )
                .values(row)
            )
            return done.rowcount == 1

    def release(self) -> None:
        table = schema.leases
        with self._database.write() as connection:
            connection.execute(
                update(table)
                .where(table.c.name == self._name, table.c.holder == self._holder)
                .values(expires_at=0)
            )

    def guard(self, connection: Connection) -> None:
        """Raises LostLeaseError unless this replica leads at the end of the transaction too: the
        row stays locked until then."""
        table = schema.leases
        row = connection.execute(
            select(table).where(table.c.name == self._name).with_for_update()
        ).one_or_none()
        if row is None or row.holder != self._holder or row.expires_at < self._clock():
            raise LostLeaseError(self._name)
