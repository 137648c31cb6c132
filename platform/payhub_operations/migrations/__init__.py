"""The schema's history, run at start-up; several copies of the service may start at once."""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from payhub_operations.database import Database
from payhub_operations.schema import SCHEMA

_LOCK: Final = "payhub-operations-migrations"


async def migrate(database: Database) -> None:
    """Bring the schema to the newest version, in one transaction.

    Raises:
        DatabaseError: PostgreSQL is not there or refused; nothing was changed.
    """
    async with database.owner() as connection:
        await connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": _LOCK}
        )
        await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    # Alembic is needed once, at start-up, and is slow to import.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, "head")
