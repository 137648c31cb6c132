"""Registers OAuth clients."""

from collections.abc import Callable

from payhub_platform.clock import Clock
from payhub_tenants.clients.errors import ClientExistsError, ClientTakenError, TooManyClientsError
from payhub_tenants.clients.model import (
    CLIENTS_MAX,
    Client,
    ClientView,
    RegisterClient,
    checked_request,
    client_view,
    public_jwks,
)
from payhub_tenants.fingerprint import Fingerprints
from payhub_tenants.operators.model import AGGREGATOR
from payhub_tenants.store import Store
from payhub_tenants.tenants.errors import TenantLeavingError, TenantNotFoundError
from payhub_tenants.tenants.model import changed


class ClientService:
    """Clients are part of the tenant's configuration, so a new one makes a new version of it."""

    def __init__(
        self, store: Store, fingerprints: Fingerprints, clock: Clock, on_change: Callable[[], None]
    ) -> None:
        self._store = store
        self._fingerprints = fingerprints
        self._clock = clock
        self._on_change = on_change

    async def register(
        self, tenant_id: str, request: RegisterClient, actor: str = AGGREGATOR.operator_id
    ) -> tuple[ClientView, bool]:
        """Register a client, or return the one that the same request registered before.

        Returns:
            The client, and whether it was registered now.

        Raises:
            TenantNotFoundError: there is no such tenant.
            ClientExistsError: another request registered a client of this id for the tenant.
            ClientTakenError: another tenant has a client of this id.
            TooManyClientsError: the tenant has ``CLIENTS_MAX`` clients.
            InvalidInputError: the request is refused; see ``checked_request``.
        """
        client = self._new_client(tenant_id, checked_request(request))
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await transaction.tenants.lock(tenant_id)
            if tenant is None:
                raise TenantNotFoundError
            if tenant.status in ("offboarding", "purged"):
                raise TenantLeavingError
            # The tenant is locked, so its clients cannot become more meanwhile.
            present = len(await transaction.clients.of_tenant(tenant_id))
            created = await transaction.clients.add(client)
            if not created:
                client = _same(await transaction.clients.get(client.client_id), client)
            elif present >= CLIENTS_MAX:
                raise TooManyClientsError(CLIENTS_MAX)
            else:
                await transaction.tenants.save(changed(tenant, client.created_at_ms))
                detail = {"clientId": client.client_id, "scopes": client.scopes}
                await transaction.audit.append(
                    tenant_id, client.created_at_ms, actor, "client.registered", detail
                )
        if created:
            self._on_change()
        return client_view(client), created

    def _new_client(self, tenant_id: str, request: RegisterClient) -> Client:
        return Client(
            client_id=request.client_id,
            tenant_id=tenant_id,
            name=request.name,
            jwks=public_jwks(request.jwks),
            scopes=list(request.scopes),
            request_fingerprint=self._fingerprints.of(request),
            created_at_ms=self._clock(),
        )


def _same(known: Client | None, client: Client) -> Client:
    if known is None or known.tenant_id != client.tenant_id:
        raise ClientTakenError
    if known.request_fingerprint != client.request_fingerprint:
        raise ClientExistsError
    return known
