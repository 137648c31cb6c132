"""Takes party identifiers back: from the scheme first, then from the core bank, then from the store."""

from payhub_tenants.identifiers.access import Access
from payhub_tenants.identifiers.book import IdentifierBook
from payhub_tenants.identifiers.model import PartyIdentifier
from payhub_tenants.identifiers.remote import AmsParties, SchemeParticipants
from payhub_tenants.store import Store
from payhub_tenants.tenants.model import Tenant


class Withdrawal:
    """Every step is repeatable; what is gone already counts as withdrawn."""

    def __init__(
        self,
        store: Store,
        ams: AmsParties,
        scheme: SchemeParticipants,
        access: Access,
        book: IdentifierBook,
    ) -> None:
        self._store = store
        self._book = book
        self._ams = ams
        self._scheme = scheme
        self._access = access

    async def one(self, tenant: Tenant, identifier: PartyIdentifier) -> None:
        """Withdraw one identifier: nobody finds the member by it before anything else is undone.

        Raises:
            RegistrationError: the scheme or the core bank did not do it; what was done stays done.
        """
        await self._scheme.withdraw(await self._access.scheme(tenant), identifier)
        await self._ams.withdraw(await self._access.ams(tenant), identifier)
        async with self._store.transaction(tenant.tenant_id) as transaction:
            await (await self._book.opened(transaction, tenant.tenant_id)).remove(identifier)

    async def some(self, tenant: Tenant, limit: int) -> int:
        """Withdraw up to ``limit`` identifiers, and return how many are left then.

        Raises:
            RegistrationError: see ``one``.
        """
        async with self._store.transaction(tenant.tenant_id) as transaction:
            found = await (await self._book.opened(transaction, tenant.tenant_id)).page(None, limit)
        for identifier in found:
            await self.one(tenant, identifier)
        async with self._store.transaction(tenant.tenant_id) as transaction:
            return sum((await transaction.identifiers.counts(tenant.tenant_id)).values())
