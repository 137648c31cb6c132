"""``python -m payhub_tenants.migrations`` brings the schema to the newest version and ends.

The service runs it as a process of its own, because Alembic would hold 12 MB for as long as it lives.
"""

import asyncio
import logging
import sys

from payhub_platform.errors import PayhubError
from payhub_platform.settings import load
from payhub_tenants.database import Database
from payhub_tenants.settings import Settings


async def _migrate(url: str) -> None:
    database = Database(url)
    try:
        await database.migrate()
    finally:
        await database.close()


def main() -> None:
    """Migrate the schema ``tenants`` of ``PAYHUB_DATABASE_URL``; exit 1 where that is not possible now."""
    try:
        settings = load(Settings)
        logging.basicConfig(
            level=settings.log_level,
            stream=sys.stderr,
            format="%(asctime)s %(levelname)s %(name)s %(message)s",
        )
        logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
        asyncio.run(_migrate(settings.database_url))
    except PayhubError as error:
        sys.exit(f"payhub_tenants.migrations: {error}")


if __name__ == "__main__":
    main()
