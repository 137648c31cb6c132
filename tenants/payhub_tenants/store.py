"""What services need of a store: transactions that do all or nothing, of a tenant or of the registry."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from payhub_tenants.approvals.repository import ApprovalRepository
from payhub_tenants.audit.repository import AuditRepository, InstallationAudit
from payhub_tenants.clients.repository import ClientRepository
from payhub_tenants.documents.repository import DocumentRepository
from payhub_tenants.identifiers.repository import IdentifierRepository
from payhub_tenants.keys.repository import KeyRepository
from payhub_tenants.lifecycle.repository import LifecycleRepository
from payhub_tenants.operators.repository import OperatorRepository
from payhub_tenants.tenants.repository import TenantRepository


class Transaction(Protocol):
    """The repositories, joined in one transaction that sees one tenant's rows."""

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

    @property
    def lifecycle(self) -> LifecycleRepository:
        """Jobs and evidence."""
        ...

    @property
    def approvals(self) -> ApprovalRepository:
        """Requests for approval."""
        ...

    @property
    def audit(self) -> AuditRepository:
        """The audit."""
        ...

    @property
    def documents(self) -> DocumentRepository:
        """Limits, fees, endpoints and others."""
        ...

    @property
    def keys(self) -> KeyRepository:
        """Keys and certificates."""
        ...


class Registry(Protocol):
    """The repositories that look over all tenants; no member and no audit is seen through them."""

    @property
    def tenants(self) -> TenantRepository:
        """Tenants: to list and to publish them."""
        ...

    @property
    def clients(self) -> ClientRepository:
        """OAuth clients, to read."""
        ...

    @property
    def lifecycle(self) -> LifecycleRepository:
        """Open jobs, to find them."""
        ...

    @property
    def documents(self) -> DocumentRepository:
        """Limits, to publish them; files, to find those that wait. Their content is sealed."""
        ...

    @property
    def operators(self) -> OperatorRepository:
        """Operators."""
        ...

    @property
    def audit(self) -> InstallationAudit:
        """The audit of what is no tenant's."""
        ...


class Store(Protocol):
    """Opens transactions: committed when the block ends, undone when it raises."""

    def transaction(self, tenant_id: str) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction that sees and writes one tenant's rows only.

        Raises:
            UnavailableError: code ``database-unavailable``; nothing of the block was done, or the answer
                to the commit was lost.
        """
        ...

    def registry(self) -> AbstractAsyncContextManager[Registry]:
        """Open a transaction over all tenants' configuration.

        Raises:
            UnavailableError: code ``database-unavailable``.
        """
        ...

    async def is_ready(self) -> bool:
        """Tell whether a transaction would work now."""
        ...
