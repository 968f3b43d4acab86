"""The database's newest form, by Alembic. As a command: of the database in the settings."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, text

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


if __name__ == "__main__":
    engine = make_engine(IngestSettings().ingest_database)  # type: ignore[call-arg]
    migrate(engine)
    engine.dispose()
