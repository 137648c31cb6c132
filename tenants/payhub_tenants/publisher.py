"""Brings every new version of a tenant's configuration to the bus, however long that takes."""

import asyncio
import contextlib
import logging
from typing import Final, Protocol

from msgspec.structs import replace
from nats.aio.client import Client
from nats.errors import Error as NatsError

from payhub_platform.bus import directory
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import UnavailableError
from payhub_tenants.store import Store
from payhub_tenants.tenants.model import config_of

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

    def __init__(self, store: Store, bus: ConfigBus) -> None:
        self._store = store
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
            async with self._store.transaction() as transaction:
                await transaction.tenants.unpublish_all()
            self._connection = connection
        count = 0
        while await self._publish_one():
            count += 1
        return count

    async def _publish_one(self) -> bool:
        async with self._store.transaction() as transaction:
            tenant = await transaction.tenants.lock_unpublished()
            if tenant is None:
                return False
            clients = await transaction.clients.of_tenant(tenant.tenant_id)
            await self._bus.publish(config_of(tenant, clients))
            await transaction.tenants.save(replace(tenant, published_version=tenant.version))
        _logger.info("tenant %s: version %d published", tenant.tenant_id, tenant.version)
        return True
