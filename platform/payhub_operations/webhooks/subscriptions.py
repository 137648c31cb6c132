"""Keeps the endpoints in PostgreSQL as the tenants' configurations have them."""

import asyncio
import contextlib
import logging
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.kv import KeyValue

from payhub_operations.database import Database, DatabaseError
from payhub_operations.webhooks import repository
from payhub_operations.webhooks.model import Endpoint
from payhub_platform.bus import subjects
from payhub_platform.bus.directory import open_bucket
from payhub_platform.contracts.tenant import TenantConfig

_logger = logging.getLogger(__name__)

RETRY_S: Final = 0.5
WATCH_WAIT_S: Final = 30.0  # after this silence everything is compared
FIRST_WAIT_S: Final = 30.0  # the audit does not wait longer than this for configurations


class Subscriptions:
    """Compares again and again, so that a restored database is mended as well.

    Only a tenant whose configuration is there is changed: a bus that has lost its disk removes nobody's
    endpoints.
    """

    def __init__(self, bus: Client, database: Database) -> None:
        self._bus = bus
        self._database = database
        self._wanted: dict[str, list[Endpoint]] = {}
        self._are_all_known = False
        self._are_first_kept = asyncio.Event()

    async def run(self) -> None:
        """Follow configurations until cancelled."""
        while True:
            try:
                bucket = await open_bucket(self._bus)
                watcher = await bucket.watch(subjects.TENANT_KEY_PREFIX + ">")
                try:
                    await self._take_all(watcher)
                finally:
                    with contextlib.suppress(NatsError):
                        await watcher.stop()
            except (NatsError, TimeoutError, OSError) as error:
                _logger.debug("webhook endpoints: %s", type(error).__name__)
            await asyncio.sleep(RETRY_S)

    async def wait_for_first(self) -> None:
        """Wait until the endpoints are those of all configurations there were, for a bounded time."""
        try:
            async with asyncio.timeout(FIRST_WAIT_S):
                await self._are_first_kept.wait()
        except TimeoutError:
            _logger.warning("webhooks go where they went before: no configuration has been heard of")

    async def take(self, config: TenantConfig | None) -> None:
        """Take a configuration; nothing is changed before None has said that all there were are known."""
        changed = list(self._wanted)
        if config is not None:
            wanted = _endpoints(config)
            changed = [] if self._wanted.get(config.tenant_id) == wanted else [config.tenant_id]
            self._wanted[config.tenant_id] = wanted
        self._are_all_known |= config is None
        if not self._are_all_known:
            return
        try:
            await self._keep(changed)
        except DatabaseError as error:
            # The next round compares everything.
            _logger.warning("webhook endpoints wait for the database: %s", error.detail)
        else:
            self._are_first_kept.set()

    async def _take_all(self, watcher: KeyValue.KeyWatcher) -> None:
        # A watcher that is silent may be a lost one: it is opened anew, and tells everything again.
        while True:
            entry = await watcher.updates(timeout=WATCH_WAIT_S)
            if entry is None:
                await self.take(None)
                continue
            try:
                config = msgspec.msgpack.decode(entry.value or b"", type=TenantConfig)
            except msgspec.MsgspecError:
                # A later release may say more than this one reads: the tenant's endpoints stay as they are.
                _logger.warning("webhook endpoints: the configuration at %s cannot be read", entry.key)
                continue
            await self.take(config)

    async def _keep(self, tenants: list[str]) -> None:
        if not tenants:
            return
        async with self._database.writer() as connection:
            kept: dict[str, list[Endpoint]] = {}
            for endpoint in await repository.endpoints_of(connection, tenants):
                kept.setdefault(endpoint.tenant, []).append(endpoint.configured)
            for tenant in sorted(tenants):
                wanted = self._wanted[tenant]
                if wanted != kept.get(tenant, []):
                    await repository.put_endpoints(connection, tenant, wanted)
                    _logger.info("tenant %s: %d webhook endpoints", tenant, len(wanted))


def _endpoints(config: TenantConfig) -> list[Endpoint]:
    """Return a tenant's endpoints in the order of their ids, as the database returns them."""
    found = [
        Endpoint(
            tenant=config.tenant_id,
            endpoint=webhook.endpoint_id,
            url=webhook.url,
            purpose=webhook.purpose,
            events=list(webhook.events),
            secrets=webhook.secrets,
        )
        for webhook in config.webhooks
    ]
    return sorted(found, key=lambda endpoint: endpoint.endpoint)
