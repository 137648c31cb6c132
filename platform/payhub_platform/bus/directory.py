"""The tenants' configuration as a gateway or engine holds it: from disk at once, from NATS when there."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig
from nats.js.errors import NotFoundError as BucketNotFoundError
from nats.js.kv import KeyValue

from payhub_platform import cancellation
from payhub_platform.bus import subjects
from payhub_platform.bus.connection import BusDownError
from payhub_platform.contracts.tenant import OAuthClient, TenantConfig

_logger = logging.getLogger(__name__)

RETRY_S: Final = 0.5
WATCH_WAIT_S: Final = 10.0

Take = Callable[[TenantConfig | None], Awaitable[None]]
"""Is given a configuration; None says that all there were so far have been given."""


class TenantDirectory:
    """All tenants this process knows, by tenant id, FSP id and OAuth client id."""

    def __init__(self, cache_file: Path) -> None:
        self._cache_file = cache_file
        self._tenants: dict[str, TenantConfig] = {}
        self._by_fsp: dict[str, TenantConfig] = {}
        self._by_client: dict[str, tuple[TenantConfig, OAuthClient]] = {}
        self._watcher: asyncio.Task[None] | None = None
        if cache_file.exists():
            cached = msgspec.msgpack.decode(cache_file.read_bytes(), type=list[TenantConfig])
            self._index({config.tenant_id: config for config in cached})

    def get(self, tenant_id: str) -> TenantConfig | None:
        """Return a tenant's newest known configuration."""
        return self._tenants.get(tenant_id)

    def by_fsp(self, fsp_id: str) -> TenantConfig | None:
        """Return the tenant that the scheme knows by this FSP id."""
        return self._by_fsp.get(fsp_id)

    def by_client(self, client_id: str) -> tuple[TenantConfig, OAuthClient] | None:
        """Return an OAuth client and the tenant it belongs to."""
        return self._by_client.get(client_id)

    def all(self) -> list[TenantConfig]:
        """Return all tenants."""
        return list(self._tenants.values())

    def put(self, config: TenantConfig) -> None:
        """Take a configuration, unless a newer version is known; keep it on disk."""
        known = self._tenants.get(config.tenant_id)
        if known is not None and known.version >= config.version:
            return
        self._index({**self._tenants, config.tenant_id: config})
        self._save()

    def watch(self, client: Client) -> None:
        """Follow the configuration bucket in the background until ``close``."""
        self._watcher = asyncio.create_task(follow(client, self._take), name="tenant-directory")

    async def close(self) -> None:
        """Stop following."""
        if self._watcher is None:
            return
        await cancellation.end([self._watcher])
        with contextlib.suppress(asyncio.CancelledError):
            await self._watcher

    async def _take(self, config: TenantConfig | None) -> None:
        if config is not None:
            self.put(config)

    def _index(self, tenants: dict[str, TenantConfig]) -> None:
        self._tenants = tenants
        self._by_fsp = {config.fsp_id: config for config in tenants.values()}
        self._by_client = {
            client.client_id: (config, client) for config in tenants.values() for client in config.clients
        }

    def _save(self) -> None:
        self._cache_file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._cache_file.with_suffix(".new")
        with unfinished.open("wb") as file:
            file.write(msgspec.msgpack.encode(self.all()))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._cache_file)


async def follow(client: Client, take: Take) -> None:
    """Give every configuration there is, and every new one, until cancelled; each comes again and again."""
    while True:
        try:
            bucket = await open_bucket(client)
            watcher = await bucket.watch(subjects.TENANT_KEY_PREFIX + ">")
            try:
                await _take_all(watcher, take)
            finally:
                with contextlib.suppress(NatsError):
                    await watcher.stop()
        except (BusDownError, TimeoutError) as error:
            _logger.debug("configuration bucket: %s", type(error).__name__)
        except (NatsError, OSError) as error:
            _logger.info("configuration bucket is opened again: %s", type(error).__name__)
        await asyncio.sleep(RETRY_S)


async def _take_all(watcher: KeyValue.KeyWatcher, take: Take) -> None:
    # A silent watcher is indistinguishable from a lost one after a NATS restart, so it is
    # renewed now and then; versions make the repetition harmless.
    while True:
        entry = await watcher.updates(timeout=WATCH_WAIT_S)
        if entry is None:
            await take(None)
        elif entry.value:
            await take(msgspec.msgpack.decode(entry.value, type=TenantConfig))


async def open_bucket(client: Client) -> KeyValue:
    """Open the configuration bucket; make it where it is missing."""
    stream = client.jetstream()
    try:
        return await stream.key_value(subjects.CONFIG_BUCKET)
    except BucketNotFoundError:
        return await stream.create_key_value(KeyValueConfig(bucket=subjects.CONFIG_BUCKET))


async def publish(client: Client, config: TenantConfig) -> None:
    """Publish one version of a tenant's configuration to all gateways and engines."""
    bucket = await open_bucket(client)
    key = subjects.TENANT_KEY_PREFIX + config.tenant_id
    await bucket.put(key, msgspec.msgpack.encode(config))
