"""The database's newest form, by Alembic. As a command: of the database in the settings."""

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text
from sqlalchemy.exc import ArgumentError, OperationalError

from peerview_common.settings import IngestSettings
from peerview_ingest.database import make_engine


def migrate(engine: Engine) -> None:
    """Bring the database to the newest form; several services may start at once."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(722001)"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def main() -> int:
    """The exit code: 1, with a line that says why, where the database cannot be reached."""
    try:
        engine = make_engine(IngestSettings().ingest_database)  # type: ignore[call-arg]
        migrate(engine)
    except (ArgumentError, OperationalError) as error:
        why = str(getattr(error, "orig", None) or error).splitlines()[0]
        print(f"peerview-ingest: PEERVIEW_INGEST_DATABASE: {why}", file=sys.stderr)
        return 1
    engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
