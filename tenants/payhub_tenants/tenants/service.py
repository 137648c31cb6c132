"""Creates, shows and changes tenants."""

from collections.abc import Callable
from secrets import token_urlsafe
from typing import Final

from payhub_platform.clock import Clock
from payhub_platform.security import jws
from payhub_tenants.export import Export, export_of
from payhub_tenants.fingerprint import Fingerprints
from payhub_tenants.identifiers.book import IdentifierBook
from payhub_tenants.keys.model import SigningKeyRow
from payhub_tenants.keys.pem import checked_private_key
from payhub_tenants.keys.service import new_key
from payhub_tenants.lifecycle.service import LifecycleService
from payhub_tenants.operators.model import AGGREGATOR
from payhub_tenants.store import Store, Transaction
from payhub_tenants.tenants.connections import sealed_ams
from payhub_tenants.tenants.errors import (
    FspTakenError,
    TenantExistsError,
    TenantNotFoundError,
)
from payhub_tenants.tenants.model import (
    CreateTenant,
    IdentifierCounts,
    Tenant,
    TenantPage,
    TenantView,
    checked_request,
    tenant_summary,
    tenant_view,
)
from payhub_tenants.vault import Vault

IDENTIFIERS_SHOWN_MAX: Final = 100


class TenantService:
    """Every change is one transaction; ``on_change`` then wakes the publisher."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        book: IdentifierBook,
        fingerprints: Fingerprints,
        engines: frozenset[str],
        lifecycle: LifecycleService,
        clock: Clock,
        on_change: Callable[[], None],
    ) -> None:
        self._store = store
        self._vault = vault
        self._book = book
        self._fingerprints = fingerprints
        self._engines = engines
        self._lifecycle = lifecycle
        self._clock = clock
        self._on_change = on_change

    async def create(
        self, request: CreateTenant, actor: str = AGGREGATOR.operator_id
    ) -> tuple[TenantView, bool]:
        """Create a tenant and provision it, or return the one that the same request created before.

        Returns:
            The tenant, and whether it was created now.

        Raises:
            TenantExistsError: another request created a tenant of this id.
            FspTakenError: another tenant has the FSP id.
            KeyDestroyedError: a tenant of this id was purged.
            PayhubError: the request is refused; see ``checked_request``.
        """
        checked = checked_request(request, self._engines)
        known = await self._known(checked)
        created = known is None and await self._add(checked, actor)
        # Also for a repetition: the first attempt may have been cut off before this.
        await self._lifecycle.run(checked.tenant_id)
        return await self.get(checked.tenant_id), created

    async def get(self, tenant_id: str) -> TenantView:
        """Return a tenant.

        Raises:
            TenantNotFoundError: there is none of this id.
        """
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await transaction.tenants.get(tenant_id)
            if tenant is None:
                raise TenantNotFoundError
            return await view_of(transaction, self._book, tenant)

    async def page(self, after: str, limit: int) -> TenantPage:
        """Return up to ``limit`` tenants whose ids come after ``after``."""
        async with self._store.registry() as registry:
            found = await registry.tenants.page(after, limit + 1)
        shown = [tenant_summary(tenant) for tenant in found[:limit]]
        return TenantPage(tenants=shown, next=shown[-1].tenant_id if len(found) > limit else None)

    async def export(self, tenant_id: str) -> Export:
        """Return everything that a tenant owns here.

        Raises:
            TenantNotFoundError: there is none of this id.
        """
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await transaction.tenants.get(tenant_id)
            if tenant is None:
                raise TenantNotFoundError
            return await export_of(transaction, tenant, self._book)

    async def _known(self, request: CreateTenant) -> Tenant | None:
        async with self._store.transaction(request.tenant_id) as transaction:
            known = await transaction.tenants.get(request.tenant_id)
        if known is not None and known.request_fingerprint != self._fingerprints.of(request):
            raise TenantExistsError
        return known

    async def _add(self, request: CreateTenant, actor: str) -> bool:
        """Keep a new tenant; False where the same request did so meanwhile."""
        await self._vault.create(request.tenant_id)
        tenant, key = await self._new_tenant(request)
        async with self._store.transaction(tenant.tenant_id) as transaction:
            if await transaction.tenants.add(tenant):
                await transaction.keys.put(key)
                detail = {"fspId": tenant.fsp_id, "placement": tenant.placement}
                now = tenant.created_at_ms
                await transaction.audit.append(tenant.tenant_id, now, actor, "tenant.requested", detail)
                await self._lifecycle.begin(transaction, tenant, "provision", actor)
                return True
        if await self._known(request) is None:
            raise FspTakenError
        return False

    async def _new_tenant(self, request: CreateTenant) -> tuple[Tenant, SigningKeyRow]:
        if request.signing_key_pem is None:
            private_pem = jws.new_private_key_pem()
        else:
            private_pem = checked_private_key(request.signing_key_pem, "/signingKeyPem")
        now, tenant_id = self._clock(), request.tenant_id
        key = await new_key(self._vault, tenant_id, private_pem, now)
        tenant = Tenant(
            tenant_id=tenant_id,
            fsp_id=request.fsp_id,
            name=request.name,
            currency=request.currency,
            status="requested",
            version=1,
            epoch=1,
            published_version=0,
            placement=request.placement,
            scheme_base_url=request.scheme.base_url,
            switch_fsp_id=request.scheme.switch_fsp_id,
            switch_public_key_pem=request.scheme.switch_public_key_pem,
            **await sealed_ams(self._vault, tenant_id, request.ams),
            key_id=key.key_id,
            public_key_pem=key.public_key_pem,
            private_key_sealed=key.private_key_sealed,
            quote_validity_ms=request.quote_validity_ms,
            request_fingerprint=self._fingerprints.of(request),
            created_at_ms=now,
            updated_at_ms=now,
            # Of its own, so that a new signing key leaves open quotes as they are.
            ilp_secrets_sealed=[await self._vault.seal(tenant_id, token_urlsafe(32), "ilp")],
        )
        return tenant, key


async def view_of(transaction: Transaction, book: IdentifierBook, tenant: Tenant) -> TenantView:
    """Return what the aggregator sees of a tenant."""
    clients = await transaction.clients.of_tenant(tenant.tenant_id)
    kept = await book.readable(transaction, tenant.tenant_id)
    shown = [] if kept is None else await kept.page(None, IDENTIFIERS_SHOWN_MAX)
    shown.sort(key=lambda each: each.key)
    counts = await transaction.identifiers.counts(tenant.tenant_id)
    return tenant_view(tenant, clients, shown, IdentifierCounts(**counts))
