"""Keeps the addresses at which an institution is called, and the secrets that sign what is sent there."""

import os
from collections.abc import Callable

from msgspec.structs import replace

from payhub_platform.clock import Clock
from payhub_platform.contracts.tenant import WebhookEndpoint
from payhub_platform.security.addresses import Resolver, check_address, is_address
from payhub_tenants.documents.repository import DocumentRepository
from payhub_tenants.endpoints.errors import EndpointNotFoundError, UnknownHostError
from payhub_tenants.endpoints.model import (
    ENDPOINTS_DOCUMENT,
    SECRET_BYTES,
    SECRET_PURPOSE,
    Endpoint,
    Endpoints,
    EndpointsView,
    EndpointView,
    KeptEndpoint,
    KeptEndpoints,
    checked_endpoints,
    endpoint_id,
    endpoint_view,
    published,
    rotated,
    secret_text,
)
from payhub_tenants.store import Store
from payhub_tenants.tenants.errors import TenantNotFoundError
from payhub_tenants.tenants.model import Tenant, changed
from payhub_tenants.vault import Vault


class EndpointService:
    """A name is looked up when it is set; operations checks the address that it then connects to again."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        resolver: Resolver,
        clock: Clock,
        on_change: Callable[[], None],
        *,
        private_allowed: bool,
    ) -> None:
        self._store = store
        self._vault = vault
        self._resolver = resolver
        self._clock = clock
        self._on_change = on_change
        self._private_allowed = private_allowed

    async def put(self, tenant_id: str, body: Endpoints, actor: str) -> EndpointsView:
        """Keep all endpoints in place of those before; what is there already keeps its secrets.

        Raises:
            TenantNotFoundError: there is no such tenant.
            InvalidInputError: ``private-address``, ``unknown-host`` and others of ``checked_endpoints``.
        """
        hosts = checked_endpoints(body, private_allowed=self._private_allowed)
        if not self._private_allowed:
            for index, host in enumerate(hosts):
                await self._check_host(host, f"/endpoints/{index}/url")
        now = self._clock()
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await transaction.tenants.lock(tenant_id)
            if tenant is None:
                raise TenantNotFoundError
            before = await _kept(transaction.documents, tenant_id)
            made = [await self._with_secret(tenant_id, endpoint, before) for endpoint in body.endpoints]
            kept = KeptEndpoints(endpoints=[endpoint for endpoint, _secret in made])
            await transaction.documents.put(tenant_id, ENDPOINTS_DOCUMENT, kept, now)
            await transaction.tenants.save(changed(tenant, now))
            detail = {"endpoints": [endpoint.url for endpoint in body.endpoints]}
            await transaction.audit.append(tenant_id, now, actor, "endpoints.set", detail)
        self._on_change()
        return EndpointsView(endpoints=[endpoint_view(endpoint, now, secret) for endpoint, secret in made])

    async def rotate(self, tenant_id: str, wanted: str, overlap_ms: int, actor: str) -> EndpointView:
        """Sign with a new secret from now on, and with the one before as well for the overlap.

        Raises:
            TenantNotFoundError: there is no such tenant.
            EndpointNotFoundError: it has no such endpoint.
        """
        now, secret = self._clock(), _new_secret()
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await transaction.tenants.lock(tenant_id)
            if tenant is None:
                raise TenantNotFoundError
            before = await _kept(transaction.documents, tenant_id)
            found = next((each for each in before if each.endpoint_id == wanted), None)
            if found is None:
                raise EndpointNotFoundError
            sealed = await self._vault.seal(tenant_id, secret, SECRET_PURPOSE)
            after = rotated(found, sealed, now, overlap_ms)
            kept = KeptEndpoints(endpoints=[after if each is found else each for each in before])
            await transaction.documents.put(tenant_id, ENDPOINTS_DOCUMENT, kept, now)
            await transaction.tenants.save(changed(tenant, now))
            detail = {"endpointId": wanted, "overlapMs": overlap_ms}
            await transaction.audit.append(tenant_id, now, actor, "endpoint.secret-rotated", detail)
        self._on_change()
        return endpoint_view(after, now, secret)

    async def get(self, tenant_id: str) -> EndpointsView:
        """Return the endpoints.

        Raises:
            TenantNotFoundError: there is no such tenant.
        """
        async with self._store.transaction(tenant_id) as transaction:
            if await transaction.tenants.get(tenant_id) is None:
                raise TenantNotFoundError
            kept = await _kept(transaction.documents, tenant_id)
        now = self._clock()
        return EndpointsView(endpoints=[endpoint_view(endpoint, now) for endpoint in kept])

    async def _with_secret(
        self, tenant_id: str, endpoint: Endpoint, before: list[KeptEndpoint]
    ) -> tuple[KeptEndpoint, str]:
        """Return an endpoint to be kept, and its secret where it had none."""
        identity = endpoint_id(tenant_id, endpoint)
        known = next((each for each in before if each.endpoint_id == identity and each.secrets), None)
        if known is not None:
            return replace(known, events=list(endpoint.events)), ""
        fresh = KeptEndpoint(
            url=endpoint.url, purpose=endpoint.purpose, events=list(endpoint.events), endpoint_id=identity
        )
        secret = _new_secret()
        sealed = await self._vault.seal(tenant_id, secret, SECRET_PURPOSE)
        return rotated(fresh, sealed, 0, 0), secret

    async def _check_host(self, host: str, where: str) -> None:
        if is_address(host):
            return
        addresses = await self._resolver.addresses(host)
        if not addresses:
            raise UnknownHostError(where)
        for address in addresses:
            check_address(address, where)


async def published_endpoints(
    documents: DocumentRepository, vault: Vault, tenant: Tenant
) -> list[WebhookEndpoint]:
    """Return a tenant's endpoints as they are published; none once its secrets are gone.

    Raises:
        KeyDestroyedError: (and SealError) a secret cannot be read.
    """
    if not tenant.private_key_sealed:
        return []
    found = []
    for endpoint in await _kept(documents, tenant.tenant_id):
        if endpoint.secrets:
            sealed = [
                await vault.for_engines(tenant.tenant_id, secret.secret_sealed, SECRET_PURPOSE)
                for secret in endpoint.secrets
            ]
            found.append(published(endpoint, sealed))
    return found


async def _kept(documents: DocumentRepository, tenant_id: str) -> list[KeptEndpoint]:
    kept = await documents.get(tenant_id, ENDPOINTS_DOCUMENT, KeptEndpoints)
    return [] if kept is None else kept.endpoints


def _new_secret() -> str:
    return secret_text(os.urandom(SECRET_BYTES))
