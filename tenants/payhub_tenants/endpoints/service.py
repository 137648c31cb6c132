"""Keeps the addresses at which an institution is called."""

from payhub_platform.clock import Clock
from payhub_tenants.endpoints.errors import UnknownHostError
from payhub_tenants.endpoints.model import (
    ENDPOINTS_DOCUMENT,
    Endpoints,
    check_address,
    checked_endpoints,
    is_address,
    public_host,
)
from payhub_tenants.endpoints.resolver import Resolver
from payhub_tenants.store import Store
from payhub_tenants.tenants.errors import TenantNotFoundError


class EndpointService:
    """A name is looked up when it is set; who calls it must check the address it then connects to again."""

    def __init__(self, store: Store, resolver: Resolver, clock: Clock) -> None:
        self._store = store
        self._resolver = resolver
        self._clock = clock

    async def put(self, tenant_id: str, body: Endpoints, actor: str) -> Endpoints:
        """Keep all endpoints in place of those before.

        Raises:
            TenantNotFoundError: there is no such tenant.
            InvalidInputError: ``private-address``, ``unknown-host`` and others of ``checked_endpoints``.
        """
        checked_endpoints(body)
        for index, endpoint in enumerate(body.endpoints):
            where = f"/endpoints/{index}/url"
            await self._check_host(public_host(endpoint.url, where), where)
        now = self._clock()
        async with self._store.transaction(tenant_id) as transaction:
            if await transaction.tenants.lock(tenant_id) is None:
                raise TenantNotFoundError
            await transaction.documents.put(tenant_id, ENDPOINTS_DOCUMENT, body, now)
            detail = {"endpoints": [endpoint.url for endpoint in body.endpoints]}
            await transaction.audit.append(tenant_id, now, actor, "endpoints.set", detail)
        return body

    async def get(self, tenant_id: str) -> Endpoints:
        """Return the endpoints.

        Raises:
            TenantNotFoundError: there is no such tenant.
        """
        async with self._store.transaction(tenant_id) as transaction:
            if await transaction.tenants.get(tenant_id) is None:
                raise TenantNotFoundError
            found = await transaction.documents.get(tenant_id, ENDPOINTS_DOCUMENT, Endpoints)
        return found or Endpoints(endpoints=[])

    async def _check_host(self, host: str, where: str) -> None:
        if is_address(host):
            return
        addresses = await self._resolver.addresses(host)
        if not addresses:
            raise UnknownHostError(where)
        for address in addresses:
            check_address(address, where)
