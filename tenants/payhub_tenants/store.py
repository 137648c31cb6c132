"""What the services need of a store: transactions that do all or nothing."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from payhub_tenants.clients.repository import ClientRepository
from payhub_tenants.identifiers.repository import IdentifierRepository
from payhub_tenants.tenants.repository import TenantRepository


class Transaction(Protocol):
    """The repositories, joined in one transaction."""

    @property
    def tenants(self) -> TenantRepository:
        """Tenants."""
        ...

    @property
    def clients(self) -> ClientRepository:
        """OAuth clients."""
        ...

    @property
    def identifiers(self) -> IdentifierRepository:
        """Party identifiers."""
        ...


class Store(Protocol):
    """Opens transactions: committed when the block ends, undone when it raises."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction.

        Raises:
            UnavailableError: code ``database-unavailable``; nothing of the block was done, or the answer
                to the commit was lost.
        """
        ...

    async def is_ready(self) -> bool:
        """Tell whether a transaction would work now."""
        ...
