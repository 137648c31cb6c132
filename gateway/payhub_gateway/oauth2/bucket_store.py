"""The shared store in NATS: one key-value bucket per kind of record, whose lifetime is the bucket's."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeVar

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig
from nats.js.errors import (
    APIError,
    BucketNotFoundError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
)
from nats.js.kv import KeyValue

from payhub_gateway.oauth2.store import Change, Entry, Kind, StoreFullError, StoreUnavailableError

_logger = logging.getLogger(__name__)

CALL_TIMEOUT_S: Final = 1.0
QUIET_S: Final = 2.0  # after a call without answer the next ones are refused at once for so long
WATCH_RETRY_S: Final = 0.5
WATCH_WAIT_S: Final = 1.0
SILENCE_MAX_S: Final = 60.0
HEADERS_BYTES: Final = 1024  # NATS counts subject and headers as well
BUCKET_PREFIX: Final = "payhub-oauth-"
# JSStreamStoreFailed "maximum bytes exceeded" and the stream's limit on one message.
_FULL: Final = frozenset({10077, 10054, 10047})

ResultT = TypeVar("ResultT")


class BucketStore:
    """See ``payhub_gateway.oauth2.store.StateStore``; unavailable until it is opened."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self._buckets: dict[str, KeyValue] = {}
        self._refuse_until_s = 0.0

    def open(self, client: Client) -> None:
        """Work with a connection from now on."""
        self._client = client

    async def get(self, kind: Kind, key: str) -> Entry | None:
        """See ``StateStore``."""

        async def read(bucket: KeyValue) -> Entry | None:
            try:
                found = await bucket.get(key)
            except KeyNotFoundError:
                return None
            return Entry(found.value or b"", found.revision or 0)

        return await self._call(kind, read)

    async def create(self, kind: Kind, key: str, value: bytes) -> bool:
        """See ``StateStore``."""
        return await self._write(kind, lambda bucket: bucket.create(key, value), len(value))

    async def update(self, kind: Kind, key: str, value: bytes, revision: int) -> bool:
        """See ``StateStore``."""
        return await self._write(kind, lambda bucket: bucket.update(key, value, revision), len(value))

    async def delete(self, kind: Kind, key: str) -> None:
        """See ``StateStore``."""
        await self._call(kind, lambda bucket: bucket.delete(key))

    async def watch(self, kind: Kind) -> AsyncIterator[Change]:
        """See ``StateStore``."""
        while True:
            try:
                bucket = await self._bucket(kind)
                watcher = await bucket.watch(">")
                try:
                    async for change in self._changes(watcher):
                        yield change
                finally:
                    with contextlib.suppress(NatsError):
                        await watcher.stop()
            except (NatsError, OSError, TimeoutError, StoreUnavailableError) as error:
                _logger.debug("bucket of %s is watched again: %s", kind.name, type(error).__name__)
            await asyncio.sleep(WATCH_RETRY_S)

    async def _changes(self, watcher: KeyValue.KeyWatcher) -> AsyncIterator[Change]:
        """Tell changes until the watcher may have become deaf: after a reconnection, or a long silence."""
        loop, stats = asyncio.get_running_loop(), self._client.stats if self._client else {}
        reconnects, heard_s = stats.get("reconnects"), loop.time()
        while stats.get("reconnects") == reconnects and loop.time() - heard_s < SILENCE_MAX_S:
            try:
                entry = await watcher.updates(timeout=WATCH_WAIT_S)
            except TimeoutError:
                continue
            heard_s = loop.time()
            if entry is not None:
                yield Change(entry.key, None if entry.operation else entry.value)

    async def _write(self, kind: Kind, write: Callable[[KeyValue], Awaitable[int]], value_bytes: int) -> bool:
        if value_bytes > kind.value_bytes_max:
            raise StoreFullError(kind)
        try:
            await self._call(kind, write)
        except KeyWrongLastSequenceError:
            return False
        return True

    async def _call(self, kind: Kind, act: Callable[[KeyValue], Awaitable[ResultT]]) -> ResultT:
        loop = asyncio.get_running_loop()
        if self._client is None or not self._client.is_connected or loop.time() < self._refuse_until_s:
            raise StoreUnavailableError
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                return await act(await self._bucket(kind))
        except KeyWrongLastSequenceError:
            raise
        except APIError as error:
            if error.err_code in _FULL:
                raise StoreFullError(kind) from error
            self._buckets.pop(kind.name, None)
            raise StoreUnavailableError from error
        except (NatsError, OSError, TimeoutError) as error:
            self._refuse_until_s = loop.time() + QUIET_S
            self._buckets.pop(kind.name, None)
            _logger.warning("NATS: no answer about %s: %s", kind.name, type(error).__name__)
            raise StoreUnavailableError from error

    async def _bucket(self, kind: Kind) -> KeyValue:
        known = self._buckets.get(kind.name)
        if known is None:
            if self._client is None:
                raise StoreUnavailableError
            stream = self._client.jetstream()
            name = BUCKET_PREFIX + kind.name
            try:
                known = await stream.key_value(name)
            except BucketNotFoundError:
                config = KeyValueConfig(
                    bucket=name,
                    ttl=kind.lifetime_s or None,
                    max_bytes=kind.bytes_max,
                    max_value_size=kind.value_bytes_max + HEADERS_BYTES,
                )
                known = await stream.create_key_value(config)
            self._buckets[kind.name] = known
        return known
