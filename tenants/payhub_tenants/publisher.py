"""Brings every new version of a tenant's configuration to the bus, however long that takes."""

import asyncio
import contextlib
import logging
from typing import Any, Final, Protocol

from msgspec.structs import replace
from nats.aio.client import Client
from nats.errors import Error as NatsError

from payhub_platform.bus import directory
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import UnavailableError
from payhub_platform.security.secrets import SealError
from payhub_tenants.endpoints.service import published_endpoints
from payhub_tenants.keys.model import AUTHORITY_DOCUMENT, Authority
from payhub_tenants.placement.model import PLACEMENT_DOCUMENT, PlacementRecord
from payhub_tenants.store import Registry, Store
from payhub_tenants.tenants.login import sealed_secrets, with_secrets
from payhub_tenants.tenants.model import Published, Tenant, config_of
from payhub_tenants.terms.model import (
    CURRENCIES_DOCUMENT,
    DIRECT_DOCUMENT,
    FEES_DOCUMENT,
    LIMITS_DOCUMENT,
    Currencies,
    DirectPayments,
    Fees,
    Limits,
    with_terms,
)
from payhub_tenants.vault import KeyDestroyedError, Vault

_logger = logging.getLogger(__name__)

POLL_S: Final = 1.0  # finds what other copies of this process left behind, and a bus that came back
PUBLISH_TIMEOUT_S: Final = 3.0  # shorter than the time that a change waits for the row's lock


class BusPublishError(Exception):
    """The bus did not acknowledge; the version is published later."""


class ConfigBus(Protocol):
    """Where configurations go."""

    def connection(self) -> int | None:
        """Return which connection this is, counted up, or None while there is none."""
        ...

    async def publish(self, config: TenantConfig) -> None:
        """Publish and wait for the acknowledgement.

        Raises:
            BusPublishError: there was none.
        """
        ...


class NatsConfigBus:
    """The key-value bucket of NATS that gateways and engines follow."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def connection(self) -> int | None:
        """Return the number of reconnections while connected."""
        return self._client.stats["reconnects"] if self._client.is_connected else None

    async def publish(self, config: TenantConfig) -> None:
        """Put the configuration into the bucket."""
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                await directory.publish(self._client, config)
        except (NatsError, TimeoutError, OSError) as error:
            raise BusPublishError(type(error).__name__) from error


class Publisher:
    """The outbox's reader: ``published_version`` of a tenant's row is what reached the bus.

    The row stays locked while it is published, so that two copies of the process never put an older
    version over a newer one.
    """

    def __init__(self, store: Store, bus: ConfigBus, vault: Vault) -> None:
        self._store = store
        self._vault = vault
        self._bus = bus
        self._changed = asyncio.Event()
        self._connection: int | None = None

    def wake(self) -> None:
        """Tell the publisher that something changed."""
        self._changed.set()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            self._changed.clear()
            try:
                await self.publish_waiting()
            except (UnavailableError, BusPublishError) as error:
                _logger.warning("configurations wait to be published: %s", error)
            with contextlib.suppress(TimeoutError):
                # Not wait_for: until Python 3.12 it may swallow the cancellation that stops this task.
                async with asyncio.timeout(POLL_S):
                    await self._changed.wait()

    async def publish_waiting(self) -> int:
        """Publish all that waits, and everything after a new connection; return how many.

        A bus that was away may have lost what it held, and so everything is sent again: readers ignore
        versions they know.

        Raises:
            UnavailableError: the store cannot be read now.
            BusPublishError: the bus did not take it; what it took is recorded.
        """
        connection = self._bus.connection()
        if connection is None:
            return 0
        if connection != self._connection:
            async with self._store.registry() as registry:
                await registry.tenants.unpublish_all()
            self._connection = connection
        count, after = 0, ""
        while (tenant := await self._publish_one(after)) is not None:
            count, after = count + (tenant.published_version == tenant.version), tenant.tenant_id
        return count

    async def _publish_one(self, after: str) -> Tenant | None:
        """Publish the next tenant that waits and return it as it is then; None where none is left."""
        async with self._store.registry() as registry:
            tenant = await registry.tenants.lock_unpublished(after)
            if tenant is None:
                return None
            try:
                config = await self._config(registry, tenant)
            except (KeyDestroyedError, SealError) as error:
                # It stays as gateways and engines know it, and the others go on.
                _logger.error("tenant %s cannot be published: %s", tenant.tenant_id, error.code)  # noqa: TRY400 - no trace with secrets
                return tenant
            await self._bus.publish(config)
            await registry.tenants.record_published(tenant)
        _logger.info("tenant %s: version %d published", tenant.tenant_id, tenant.version)
        return replace(tenant, published_version=tenant.version)

    async def _config(self, registry: Registry, tenant: Tenant) -> TenantConfig:
        tenant_id = tenant.tenant_id
        placed = await registry.documents.get(tenant_id, PLACEMENT_DOCUMENT, PlacementRecord)
        authority = await registry.documents.get(tenant_id, AUTHORITY_DOCUMENT, Authority)
        beside = Published(
            clients=await registry.clients.of_tenant(tenant_id),
            placed=placed,
            webhooks=await published_endpoints(registry.documents, self._vault, tenant),
            channel_authorities=[] if authority is None else [authority.certificate_pem],
        )
        return with_terms(
            config_of(await self._for_engines(tenant), beside),
            await registry.documents.get(tenant_id, LIMITS_DOCUMENT, Limits),
            await registry.documents.get(tenant_id, FEES_DOCUMENT, Fees),
            await registry.documents.get(tenant_id, CURRENCIES_DOCUMENT, Currencies),
            await registry.documents.get(tenant_id, DIRECT_DOCUMENT, DirectPayments),
        )

    async def _for_engines(self, tenant: Tenant) -> Tenant:
        """Return a tenant whose secrets are sealed with the installation's key, as engines open them."""

        async def anew(sealed: str, purpose: str) -> str:
            return await self._vault.for_engines(tenant.tenant_id, sealed, purpose)

        async def login(settings: dict[str, Any], side: str) -> dict[str, Any]:
            tls_key, client_secret = sealed_secrets(settings)
            return with_secrets(
                settings, await anew(tls_key, f"{side}-tls"), await anew(client_secret, f"{side}-oauth")
            )

        return replace(
            tenant,
            ams_password_sealed=await anew(tenant.ams_password_sealed, "ams"),
            private_key_sealed=await anew(tenant.private_key_sealed, "jws"),
            ilp_secrets_sealed=[await anew(sealed, "ilp") for sealed in tenant.ilp_secrets_sealed],
            scheme_settings=await login(tenant.scheme_settings, "scheme"),
            ams_settings=await login(tenant.ams_settings, "ams"),
        )
