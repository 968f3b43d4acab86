"""Connections to ingest's own database, SQLite or PostgreSQL."""

from typing import Any, Final

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url

SQLITE_WAIT_S: Final = 10
"""How long a write waits for another process that writes; ``?timeout=`` in the URL goes before."""
LOCK_TIMEOUT_MS: Final = 30_000
"""How long a submission waits for its practice's turn on PostgreSQL before it is answered 503."""


def make_engine(url: str) -> Engine:
    if make_url(url).get_backend_name() == "sqlite":
        wait = float(str(make_url(url).query.get("timeout", SQLITE_WAIT_S)))
        engine = create_engine(
            url, hide_parameters=True, connect_args={"check_same_thread": False, "timeout": wait}
        )

        @event.listens_for(engine, "connect")
        def _pragmas(connection: Any, _: Any) -> None:
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "temp_store=MEMORY"):
                connection.execute(f"PRAGMA {pragma}")

        return engine
    return create_engine(
        url,
        hide_parameters=True,
        pool_size=10,
        max_overflow=60,
        pool_pre_ping=True,
        connect_args={"options": f"-c lock_timeout={LOCK_TIMEOUT_MS}", "connect_timeout": 5},
    )
