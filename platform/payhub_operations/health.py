"""Whether the service lives and whether it can serve."""

from typing import Final

from litestar import Controller, get

from payhub_operations.database import Database
from payhub_platform.errors import UnavailableError

_OK: Final = {"status": "ok"}


class Readiness:
    """Set once the schema is in place."""

    def __init__(self) -> None:
        self.migrated = False


class Health(Controller):
    """Probes; anybody may ask them, and they tell nothing else."""

    path = "/health"

    @get("/live")
    async def live(self) -> dict[str, str]:
        """Answer as long as the process runs."""
        return _OK

    @get("/ready")
    async def ready(self, readiness: Readiness, database: Database) -> dict[str, str]:
        """Answer 200 when the schema is in place and PostgreSQL answers.

        Raises:
            UnavailableError: not yet, or not now.
        """
        if not readiness.migrated:
            raise UnavailableError("starting", "The database schema is not in place yet.")
        await database.ping()
        return _OK
