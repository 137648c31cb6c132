"""Shows a tenant's audit."""

from payhub_tenants.audit.model import AuditPage, audit_view
from payhub_tenants.store import Store
from payhub_tenants.tenants.errors import TenantNotFoundError


class AuditService:
    """Reads; entries are made by what they tell of, in the same transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, tenant_id: str, after: int, limit: int) -> AuditPage:
        """Return up to ``limit`` entries after a number, in order.

        Raises:
            TenantNotFoundError: there is no such tenant.
        """
        async with self._store.transaction(tenant_id) as transaction:
            if await transaction.tenants.get(tenant_id) is None:
                raise TenantNotFoundError
            found = await transaction.audit.page(tenant_id, after, limit + 1)
        shown = [audit_view(entry) for entry in found[:limit]]
        return AuditPage(entries=shown, next=shown[-1].number if len(found) > limit else None)
