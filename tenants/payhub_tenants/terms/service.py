"""Shows limits, and keeps fees, currencies and whom an institution pays directly."""

from typing import TypeVar

from payhub_platform.clock import Clock
from payhub_platform.errors import NotFoundError
from payhub_tenants.store import Store
from payhub_tenants.tenants.errors import TenantNotFoundError
from payhub_tenants.tenants.model import changed
from payhub_tenants.terms.model import (
    CURRENCIES_DOCUMENT,
    DIRECT_DOCUMENT,
    FEES_DOCUMENT,
    LIMITS_DOCUMENT,
    Currencies,
    DirectPayments,
    Fees,
    Limits,
    checked_currencies,
    checked_fees,
    checked_partners,
)

T = TypeVar("T", Limits, Fees)


class TermsService:
    """Limits change by approval only (see ``approvals``); the others change at once and are audited."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def limits(self, tenant_id: str) -> Limits:
        """Return the limits that hold.

        Raises:
            TenantNotFoundError: there is no such tenant.
            NotFoundError: ``not-set``.
        """
        return await self._read(tenant_id, LIMITS_DOCUMENT, Limits)

    async def fees(self, tenant_id: str) -> Fees:
        """Return the fees.

        Raises:
            TenantNotFoundError: there is no such tenant.
            NotFoundError: ``not-set``.
        """
        return await self._read(tenant_id, FEES_DOCUMENT, Fees)

    async def set_fees(self, tenant_id: str, fees: Fees, actor: str) -> Fees:
        """Keep fees in place of those before, and have engines told.

        Raises:
            TenantNotFoundError: there is no such tenant.
            InvalidInputError: see ``checked_fees``.
        """
        checked_fees(fees)
        now = self._clock()
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await transaction.tenants.lock(tenant_id)
            if tenant is None:
                raise TenantNotFoundError
            await transaction.documents.put(tenant_id, FEES_DOCUMENT, fees, now)
            await transaction.tenants.save(changed(tenant, now))
            await transaction.audit.append(tenant_id, now, actor, "fees.set", {"tiers": len(fees.tiers)})
        return fees

    async def currencies(self, tenant_id: str) -> Currencies:
        """Return the currencies besides the main one; none where nothing was said.

        Raises:
            TenantNotFoundError: there is no such tenant.
        """
        async with self._store.transaction(tenant_id) as transaction:
            if await transaction.tenants.get(tenant_id) is None:
                raise TenantNotFoundError
            found = await transaction.documents.get(tenant_id, CURRENCIES_DOCUMENT, Currencies)
        return Currencies(others=[]) if found is None else found

    async def set_currencies(self, tenant_id: str, currencies: Currencies, actor: str) -> Currencies:
        """Keep currencies in place of those before, and have gateways and engines told.

        Raises:
            TenantNotFoundError: there is no such tenant.
            InvalidInputError: see ``checked_currencies``.
        """
        now = self._clock()
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await transaction.tenants.lock(tenant_id)
            if tenant is None:
                raise TenantNotFoundError
            checked_currencies(currencies, tenant.currency)
            await transaction.documents.put(tenant_id, CURRENCIES_DOCUMENT, currencies, now)
            await transaction.tenants.save(changed(tenant, now))
            detail = {"others": currencies.others}
            await transaction.audit.append(tenant_id, now, actor, "currencies.set", detail)
        return currencies

    async def direct_payments(self, tenant_id: str) -> DirectPayments:
        """Return with whom it pays directly; with nobody where nothing was said.

        Raises:
            TenantNotFoundError: there is no such tenant.
        """
        async with self._store.transaction(tenant_id) as transaction:
            if await transaction.tenants.get(tenant_id) is None:
                raise TenantNotFoundError
            found = await transaction.documents.get(tenant_id, DIRECT_DOCUMENT, DirectPayments)
        return DirectPayments(partners=[]) if found is None else found

    async def set_direct_payments(self, tenant_id: str, direct: DirectPayments, actor: str) -> DirectPayments:
        """Keep partners in place of those before, and have engines told.

        Raises:
            TenantNotFoundError: there is no such tenant.
            InvalidInputError: see ``checked_partners``.
        """
        checked_partners(direct, tenant_id)
        now = self._clock()
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await transaction.tenants.lock(tenant_id)
            if tenant is None:
                raise TenantNotFoundError
            await transaction.documents.put(tenant_id, DIRECT_DOCUMENT, direct, now)
            await transaction.tenants.save(changed(tenant, now))
            detail = {"partners": direct.partners}
            await transaction.audit.append(tenant_id, now, actor, "direct-payments.set", detail)
        return direct

    async def _read(self, tenant_id: str, kind: str, type_: type[T]) -> T:
        async with self._store.transaction(tenant_id) as transaction:
            if await transaction.tenants.get(tenant_id) is None:
                raise TenantNotFoundError
            found = await transaction.documents.get(tenant_id, kind, type_)
        if found is None:
            raise NotFoundError("not-set", f"The institution has no {kind} yet.")
        return found
