"""The engine, and the two kinds of transaction that there are."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ProgrammingError

from peerview_share.store import rights

MIGRATIONS = Path(__file__).parent / "migrations"
INSUFFICIENT_PRIVILEGE = "42501"
"""PostgreSQL's SQLSTATE."""


class MigrationNeededError(Exception):
    """The tables are older than the code, and this role may not change them."""

    def __init__(self) -> None:
        super().__init__(
            "share's tables are not of this version: run `python -m peerview_share migrate` with "
            "PEERVIEW_SHARE_OWNER_DATABASE"
        )


class Database:
    """Share's database: SQLite (write-ahead log) or PostgreSQL, with the same code on both."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = create_engine(url, **_options(url))
        if self.engine.dialect.name == "sqlite":
            _prepare_sqlite(self.engine)
        self._writing = self.engine.execution_options(writing=True)

    def migrate(self, service: str | None = None) -> None:
        """Bring the tables to the newest version, and give the role ``service`` its rights.

        Raises MigrationNeededError where this role does not own the tables, and they are old.
        """
        config = _alembic()
        if service is None and not self.pending():
            return
        try:
            self._upgrade(config, service)
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) == INSUFFICIENT_PRIVILEGE:
                raise MigrationNeededError from error
            raise

    def pending(self) -> bool:
        """The tables are not those of the newest migration."""
        newest = ScriptDirectory.from_config(_alembic()).get_current_head()
        with self.read() as connection:
            return MigrationContext.configure(connection).get_current_revision() != newest

    def _upgrade(self, config: Config, service: str | None) -> None:
        with self._writing.begin() as connection:
            if connection.dialect.name == "postgresql":
                # replicas that start at once take turns
                connection.execute(text("SELECT pg_advisory_xact_lock(7338410)"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if service is not None:
                rights.grant(connection, service)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: all of it, or nothing. On SQLite it waits its turn before it reads."""
        with self._writing.begin() as connection:
            yield connection

    def check(self) -> None:
        """Raises SQLAlchemyError when the database does not answer."""
        with self.read() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        self.engine.dispose()


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    *,
    update: Sequence[str] = (),
    newer: str | None = None,
) -> None:
    """Insert; where the primary key is there, update the columns ``update``, or leave the row.

    With ``newer``, an update is made only when that column grows.
    """
    if not rows:
        return
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    if update:
        where = statement.excluded[newer] > table.c[newer] if newer else None
        statement = statement.on_conflict_do_update(
            index_elements=keys,
            set_={name: statement.excluded[name] for name in update},
            where=where,
        )
    else:
        statement = statement.on_conflict_do_nothing(index_elements=keys)
    connection.execute(statement, list(rows))


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _options(url: str) -> dict[str, Any]:
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": 15, "check_same_thread": False}}
    return {"pool_pre_ping": True}


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        # transactions are begun below, not by the driver's own guesses
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        # a withdrawal that was answered must survive a power cut
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
