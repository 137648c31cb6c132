"""The tenants' configuration as a gateway or engine holds it: from disk at once, from NATS when there."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
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
SAVE_EVERY_S: Final = 1.0  # the file holds all tenants, so a thousand that change are not saved one by one
AT_ONCE_MAX: Final = 32  # configurations that are taken before others get a turn

_Mark = tuple[datetime | None, int]
"""Which life of the bucket, and the last message in it."""

Take = Callable[[TenantConfig | None], Awaitable[None]]
"""Is given a configuration; None says that all there were so far have been given."""


class TenantDirectory:
    """All tenants this process knows, by tenant id, FSP id and OAuth client id."""

    def __init__(self, cache_file: Path) -> None:
        self._cache_file = cache_file
        self._tenants: dict[str, TenantConfig] = {}
        self._by_fsp: dict[str, TenantConfig] = {}
        self._by_client: dict[str, tuple[TenantConfig, OAuthClient]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._unsaved = asyncio.Event()
        self._saving: asyncio.Future[None] | None = None
        if cache_file.exists():
            for config in msgspec.msgpack.decode(cache_file.read_bytes(), type=list[TenantConfig]):
                self._index(config)

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
        """Take a configuration, unless a newer version is known; it is on disk soon, or at ``close``."""
        known = self._tenants.get(config.tenant_id)
        if known is not None and known.version >= config.version:
            return
        self._index(config)
        self._unsaved.set()
        if not self._tasks:
            self._save()

    def watch(self, client: Client) -> None:
        """Follow the configuration bucket in the background until ``close``."""
        for name, work in (
            ("tenant-directory", follow(client, self._take)),
            ("tenant-cache", self._keep_saving()),
        ):
            self._tasks.append(asyncio.create_task(work, name=name))

    async def close(self) -> None:
        """Stop following."""
        if not self._tasks:
            return
        await cancellation.end(self._tasks)
        if self._saving is not None:
            await self._saving  # a thread goes on, whoever waited for it; the last one to write is right
        if self._unsaved.is_set():
            self._save()

    async def _take(self, config: TenantConfig | None) -> None:
        if config is not None:
            self.put(config)

    def _index(self, config: TenantConfig) -> None:
        before = self._tenants.get(config.tenant_id)
        if before is not None:
            if self._by_fsp.get(before.fsp_id) is before:
                del self._by_fsp[before.fsp_id]
            for client in before.clients:
                held = self._by_client.get(client.client_id)
                if held is not None and held[0] is before:
                    del self._by_client[client.client_id]
        self._tenants[config.tenant_id] = self._by_fsp[config.fsp_id] = config
        for client in config.clients:
            self._by_client[client.client_id] = (config, client)

    async def _keep_saving(self) -> None:
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            self._saving = asyncio.ensure_future(asyncio.to_thread(self._write, self.all()))
            await asyncio.shield(self._saving)
            await asyncio.sleep(SAVE_EVERY_S)

    def _save(self) -> None:
        self._unsaved.clear()
        self._write(self.all())

    def _write(self, configs: list[TenantConfig]) -> None:
        self._cache_file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._cache_file.with_suffix(".new")
        with unfinished.open("wb") as file:
            file.write(msgspec.msgpack.encode(configs))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._cache_file)


async def follow(client: Client, take: Take) -> None:
    """Give every configuration there is, and every new one, until cancelled; one may come again."""
    while True:
        try:
            bucket = await open_bucket(client)
            watcher = await bucket.watch(subjects.TENANT_KEY_PREFIX + ">")
            try:
                await _take_all(bucket, watcher, take)
            finally:
                with contextlib.suppress(NatsError):
                    await watcher.stop()
        except (BusDownError, TimeoutError) as error:
            _logger.debug("configuration bucket: %s", type(error).__name__)
        except (NatsError, OSError) as error:
            _logger.info("configuration bucket is opened again: %s", type(error).__name__)
        await asyncio.sleep(RETRY_S)


async def _take_all(bucket: KeyValue, watcher: KeyValue.KeyWatcher, take: Take) -> None:
    # A silent watcher is indistinguishable from a lost one after a NATS restart, so the bucket is asked
    # now and then whether there is more than it has brought. Then it is renewed, and all is read again;
    # versions make the repetition harmless.
    (created, _), seen, count = await _mark(bucket), 0, 0
    while True:
        try:
            entry = await watcher.updates(timeout=WATCH_WAIT_S)
        except NatsTimeoutError:
            if await _mark(bucket) != (created, seen):
                raise
            continue
        if entry is None:
            await take(None)
            continue
        seen = max(seen, entry.revision or 0)
        if entry.value:
            await take(msgspec.msgpack.decode(entry.value, type=TenantConfig))
        count += 1
        if count % AT_ONCE_MAX == 0:
            await asyncio.sleep(0)


async def _mark(bucket: KeyValue) -> _Mark:
    """Return where the bucket is; another life of it begins to count anew."""
    status = await bucket.status()
    return status.stream_info.created, status.stream_info.state.last_seq


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
