"""Creates, shows and changes tenants."""

from collections.abc import Callable
from secrets import token_urlsafe
from typing import Final

from msgspec import convert
from msgspec.structs import replace

from payhub_platform.clock import Clock
from payhub_platform.contracts.tenant import TenantStatus, VerificationKey
from payhub_platform.security import jws
from payhub_platform.security.secrets import SecretBox
from payhub_tenants.fingerprint import Fingerprints
from payhub_tenants.store import Store, Transaction
from payhub_tenants.tenants.errors import FspTakenError, TenantExistsError, TenantNotFoundError
from payhub_tenants.tenants.keys import checked_private_key, key_id_of
from payhub_tenants.tenants.model import (
    CreateTenant,
    IdentifierCounts,
    Tenant,
    TenantPage,
    TenantView,
    changed,
    check_placement,
    checked_request,
    tenant_summary,
    tenant_view,
    with_placement,
    with_status,
)
from payhub_tenants.tenants.scheme import ChangeScheme, ReplaceSigningKey, key_changes, scheme_changes

IDENTIFIERS_SHOWN_MAX: Final = 100


class TenantService:
    """Every change is one transaction; ``on_change`` then wakes the publisher."""

    def __init__(
        self,
        store: Store,
        secrets: SecretBox,
        fingerprints: Fingerprints,
        engines: frozenset[str],
        clock: Clock,
        on_change: Callable[[], None],
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._fingerprints = fingerprints
        self._engines = engines
        self._clock = clock
        self._on_change = on_change

    async def create(self, request: CreateTenant) -> tuple[TenantView, bool]:
        """Create a tenant, or return the one that the same request created before.

        Returns:
            The tenant, and whether it was created now.

        Raises:
            TenantExistsError: another request created a tenant of this id.
            FspTakenError: another tenant has the FSP id.
            PayhubError: the request is refused; see ``checked_request``.
        """
        tenant = self._new_tenant(checked_request(request, self._engines))
        async with self._store.transaction() as transaction:
            created = await transaction.tenants.add(tenant)
            if not created:
                known = await transaction.tenants.get(tenant.tenant_id)
                if known is None:
                    raise FspTakenError
                if known.request_fingerprint != tenant.request_fingerprint:
                    raise TenantExistsError
                tenant = known
            view = await _view(transaction, tenant)
        if created:
            self._on_change()
        return view, created

    async def get(self, tenant_id: str) -> TenantView:
        """Return a tenant.

        Raises:
            TenantNotFoundError: there is none of this id.
        """
        async with self._store.transaction() as transaction:
            tenant = await transaction.tenants.get(tenant_id)
            if tenant is None:
                raise TenantNotFoundError
            return await _view(transaction, tenant)

    async def page(self, after: str, limit: int) -> TenantPage:
        """Return up to ``limit`` tenants whose ids come after ``after``."""
        async with self._store.transaction() as transaction:
            found = await transaction.tenants.page(after, limit + 1)
        shown = [tenant_summary(tenant) for tenant in found[:limit]]
        return TenantPage(tenants=shown, next=shown[-1].tenant_id if len(found) > limit else None)

    async def place(self, tenant_id: str, placement: list[str]) -> TenantView:
        """Have other engines serve a tenant; engines then refuse requests of the older epoch.

        Raises:
            TenantNotFoundError: there is none of this id.
            PayhubError: the placement is refused; see ``check_placement``.
        """
        check_placement(placement, self._engines)
        return await self._change(tenant_id, lambda tenant, now: with_placement(tenant, placement, now))

    async def set_status(self, tenant_id: str, status: TenantStatus) -> TenantView:
        """Suspend or activate a tenant.

        Raises:
            TenantNotFoundError: there is none of this id.
        """
        return await self._change(tenant_id, lambda tenant, now: with_status(tenant, status, now))

    async def set_scheme(self, tenant_id: str, request: ChangeScheme) -> TenantView:
        """Change how a tenant speaks at its scheme, and whose signatures are believed there.

        Raises:
            TenantNotFoundError: there is none of this id.
            InvalidInputError: the settings are refused; see ``scheme_changes``.
        """

        def step(tenant: Tenant, now: int) -> Tenant:
            changes = scheme_changes(request, tenant.tenant_id, tenant.fsp_id, self._secrets)
            return changed(replace(tenant, **changes), now)

        return await self._change(tenant_id, step)

    async def replace_signing_key(self, tenant_id: str, request: ReplaceSigningKey) -> TenantView:
        """Give a tenant a new signing key; what the one before has signed is believed for a while.

        Raises:
            TenantNotFoundError: there is none of this id.
            SigningKeyReplacedError: another key than the present one is to be replaced.
            InvalidInputError: ``unsuitable-key``.
        """

        def step(tenant: Tenant, now: int) -> Tenant:
            present = VerificationKey(fsp_id=tenant.fsp_id, public_key_pem=tenant.public_key_pem)
            earlier = convert(tenant.earlier_keys, list[VerificationKey])
            changes = key_changes(request, present, earlier, tenant.tenant_id, self._secrets, now)
            return changed(replace(tenant, **changes), now) if changes else tenant

        return await self._change(tenant_id, step)

    async def _change(self, tenant_id: str, step: Callable[[Tenant, int], Tenant]) -> TenantView:
        async with self._store.transaction() as transaction:
            tenant = await transaction.tenants.lock(tenant_id)
            if tenant is None:
                raise TenantNotFoundError
            after = step(tenant, self._clock())
            if after is not tenant:
                await transaction.tenants.save(after)
            view = await _view(transaction, after)
        self._on_change()
        return view

    def _new_tenant(self, request: CreateTenant) -> Tenant:
        if request.signing_key_pem is None:
            private_pem = jws.new_private_key_pem()
        else:
            private_pem = checked_private_key(request.signing_key_pem, "/signingKeyPem")
        public_pem = jws.public_pem(private_pem)
        now = self._clock()
        return Tenant(
            tenant_id=request.tenant_id,
            fsp_id=request.fsp_id,
            name=request.name,
            currency=request.currency,
            status="active",
            version=1,
            epoch=1,
            published_version=0,
            placement=request.placement,
            scheme_base_url=request.scheme.base_url,
            switch_fsp_id=request.scheme.switch_fsp_id,
            switch_public_key_pem=request.scheme.switch_public_key_pem,
            ams_base_url=request.ams.base_url,
            ams_platform_tenant=request.ams.platform_tenant,
            ams_username=request.ams.username,
            ams_password_sealed=self._secrets.seal(request.ams.password, f"ams:{request.tenant_id}"),
            key_id=key_id_of(public_pem),
            public_key_pem=public_pem,
            private_key_sealed=self._secrets.seal(private_pem, f"jws:{request.tenant_id}"),
            quote_validity_ms=request.quote_validity_ms,
            request_fingerprint=self._fingerprints.of(request),
            created_at_ms=now,
            updated_at_ms=now,
            # Of its own, so that a new signing key leaves open quotes as they are.
            ilp_secrets_sealed=[self._secrets.seal(token_urlsafe(32), f"ilp:{request.tenant_id}")],
        )


async def _view(transaction: Transaction, tenant: Tenant) -> TenantView:
    clients = await transaction.clients.of_tenant(tenant.tenant_id)
    shown = await transaction.identifiers.page(tenant.tenant_id, ("", "", ""), IDENTIFIERS_SHOWN_MAX)
    counts = await transaction.identifiers.counts(tenant.tenant_id)
    return tenant_view(tenant, clients, shown, IdentifierCounts(**counts))
