"""``/api/v1/audit``: how far the engines' logs are stored."""

from litestar import Controller, get

from payhub_operations.audit import repository
from payhub_operations.audit.model import AuditOverview
from payhub_operations.database import Database
from payhub_operations.sessions.api import require_operator


class AuditApi(Controller):
    """The audit for programs."""

    path = "/api/v1/audit"
    guards = (require_operator,)

    @get()
    async def overview(self, database: Database) -> AuditOverview:
        """Return stored records and open gaps by engine, and records by tenant."""
        async with database.overseer() as connection:
            return await repository.overview(connection)
