"""A store in memory and two directories in memory: real implementations of the control plane's protocols."""

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from msgspec.structs import replace

from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import UnavailableError
from payhub_tenants.clients.model import Client
from payhub_tenants.identifiers.errors import RegistrationError
from payhub_tenants.identifiers.model import IdentifierState, PartyIdentifier
from payhub_tenants.identifiers.remote import AmsAccess, SchemeAccess
from payhub_tenants.publisher import BusPublishError
from payhub_tenants.tenants.model import Tenant


@dataclass
class MemoryTenants:
    rows: dict[str, Tenant] = field(default_factory=dict)

    async def add(self, tenant: Tenant) -> bool:
        fsp_taken = any(known.fsp_id == tenant.fsp_id for known in self.rows.values())
        if tenant.tenant_id in self.rows or fsp_taken:
            return False
        self.rows[tenant.tenant_id] = tenant
        return True

    async def get(self, tenant_id: str) -> Tenant | None:
        return self.rows.get(tenant_id)

    async def lock(self, tenant_id: str) -> Tenant | None:
        return self.rows.get(tenant_id)

    async def page(self, after: str, limit: int) -> list[Tenant]:
        return [self.rows[key] for key in sorted(self.rows) if key > after][:limit]

    async def save(self, tenant: Tenant) -> None:
        assert tenant.tenant_id in self.rows
        self.rows[tenant.tenant_id] = tenant

    async def lock_unpublished(self) -> Tenant | None:
        waiting = [tenant for tenant in self.rows.values() if tenant.published_version < tenant.version]
        return min(waiting, key=lambda tenant: tenant.tenant_id, default=None)

    async def unpublish_all(self) -> None:
        for tenant_id, tenant in self.rows.items():
            self.rows[tenant_id] = replace(tenant, published_version=0)


@dataclass
class MemoryClients:
    rows: dict[str, Client] = field(default_factory=dict)

    async def add(self, client: Client) -> bool:
        return self.rows.setdefault(client.client_id, client) is client

    async def get(self, client_id: str) -> Client | None:
        return self.rows.get(client_id)

    async def of_tenant(self, tenant_id: str) -> list[Client]:
        return [self.rows[key] for key in sorted(self.rows) if self.rows[key].tenant_id == tenant_id]


@dataclass
class MemoryIdentifiers:
    rows: dict[tuple[str, str, str, str], PartyIdentifier] = field(default_factory=dict)

    async def claim(self, identifier: PartyIdentifier, stale_before_ms: int) -> bool:
        known = self.rows.get(identifier.key)
        if known is not None and known.account_id != identifier.account_id:
            stale = known.state == "pending" and known.attempted_at_ms < stale_before_ms
            if known.state != "failed" and not stale:
                return False
        self.rows[identifier.key] = identifier
        return True

    async def record(self, identifier: PartyIdentifier) -> None:
        if self.rows[identifier.key].account_id == identifier.account_id:
            self.rows[identifier.key] = identifier

    async def page(self, tenant_id: str, after: tuple[str, str, str], limit: int) -> list[PartyIdentifier]:
        keys = sorted(key for key in self.rows if key[0] == tenant_id and key[1:] > after)
        return [self.rows[key] for key in keys[:limit]]

    async def counts(self, tenant_id: str) -> dict[IdentifierState, int]:
        counts: dict[IdentifierState, int] = {}
        for identifier in self.rows.values():
            if identifier.tenant_id == tenant_id:
                counts[identifier.state] = counts.get(identifier.state, 0) + 1
        return counts


@dataclass
class MemoryTransaction:
    tenants: MemoryTenants = field(default_factory=MemoryTenants)
    clients: MemoryClients = field(default_factory=MemoryClients)
    identifiers: MemoryIdentifiers = field(default_factory=MemoryIdentifiers)


class MemoryStore:
    """One transaction at a time; what it did is kept only when its block ends well."""

    def __init__(self) -> None:
        self.kept = MemoryTransaction()
        self.is_down = False
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        if self.is_down:
            raise UnavailableError("database-unavailable", "The database cannot be reached now.")
        async with self._lock:
            working = copy.deepcopy(self.kept)
            yield working
            self.kept = working

    async def is_ready(self) -> bool:
        return not self.is_down


class MemoryBus:
    """A bus that remembers what it was given, and can be away."""

    def __init__(self) -> None:
        self.published: list[TenantConfig] = []
        self.connections: int | None = 0
        self.refuses = False

    def connection(self) -> int | None:
        return self.connections

    async def publish(self, config: TenantConfig) -> None:
        if self.refuses:
            raise BusPublishError("NoRespondersError")
        self.published.append(config)


class MemoryAms:
    """A core bank's directory of identifiers."""

    def __init__(self) -> None:
        self.accounts: dict[tuple[str, str, str], str] = {}
        self.calls: list[AmsAccess] = []
        self.is_down = False

    async def ensure(self, access: AmsAccess, identifier: PartyIdentifier) -> None:
        self.calls.append(access)
        if self.is_down:
            raise RegistrationError("ams-unreachable", "No answer.")
        key = (identifier.type, identifier.value, identifier.sub_id)
        if self.accounts.setdefault(key, identifier.account_id) != identifier.account_id:
            raise RegistrationError("account-mismatch", "The core bank knows it for another account.")


class MemoryScheme:
    """A scheme's directory of participants; ``gate`` holds calls back until it is set."""

    def __init__(self) -> None:
        self.participants: dict[tuple[str, str, str], str] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    async def register(self, access: SchemeAccess, identifier: PartyIdentifier) -> None:
        self.asked.set()
        await self.gate.wait()
        self.participants[identifier.type, identifier.value, identifier.sub_id] = access.fsp_id
