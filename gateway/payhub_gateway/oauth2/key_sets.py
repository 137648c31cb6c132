"""Key sets that clients publish themselves (``jwks_uri``, RFC 7591 section 2): fetched rarely, within bounds.

Whoever registers an address could send the gateway anywhere, and whoever forges an assertion could have it
sent there again and again. So only public https addresses are asked, by the very address that was checked,
without redirects; an answer is short and quick or none; and an address is asked once in a while, whatever
arrives.
"""

import asyncio
import logging
import socket
import ssl
from collections import OrderedDict
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

from payhub_gateway.oauth2.signatures import PublicKey, read_keys
from payhub_platform.clock import Clock
from payhub_platform.errors import UnavailableError
from payhub_platform.security.addresses import (
    PrivateAddressError,
    Resolver,
    SystemResolver,
    check_address,
    check_host,
)

_logger = logging.getLogger(__name__)

KEY_SET_BYTES_MAX: Final = 16 * 1024
FETCH_WAIT_S: Final = 3.0
FETCHES_MAX: Final = 16  # at once
FRESH_MS: Final = 300_000
AGAIN_MS: Final = 30_000  # until an address is asked again, for a key that it did not have or after a failure
KEPT_MS: Final = 24 * 3_600_000  # while an address does not answer
KEY_SETS_MAX: Final = 4096
RETRY_AFTER_S: Final = 30
_OK: Final = 200
_WHERE: Final = "jwks_uri"


class KeyFetchError(Exception):
    """An address gave no key set."""


class KeyFetcher(Protocol):
    """Asks an address for a key set."""

    async def fetch(self, uri: str) -> bytes:
        """Return what an address answers.

        Raises:
            KeyFetchError: nothing, or too much.
        """

    async def close(self) -> None:
        """Let go of all connections."""


class KeySets:
    """Fetches key sets, and keeps them.

    Args:
        fetcher: asks.
        clock: milliseconds since the Unix epoch.
    """

    def __init__(self, fetcher: KeyFetcher, clock: Clock) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def keys(self, uri: str, kid: str | None) -> list[PublicKey]:
        """Return the keys at an address, as they were not long ago; anew where one is not among them.

        Raises:
            UnavailableError: 503 ``client-keys-unavailable``.
        """
        kept, now_ms = self._kept.get(uri), self._clock()
        if kept is None or kept.is_wanting(kid, now_ms):
            await self._ask(uri)
            kept = self._kept.get(uri)
        if kept is None or not kept.keys or kept.fetched_ms + KEPT_MS <= now_ms:
            raise UnavailableError(
                "client-keys-unavailable",
                "The keys at the client's jwks_uri cannot be read now.",
                retry_after_s=RETRY_AFTER_S,
            )
        return kept.keys

    async def close(self) -> None:
        """Let go of all connections."""
        await self._fetcher.close()

    async def _ask(self, uri: str) -> None:
        """Ask an address; those who want the same wait for one answer."""
        asking = self._asking.get(uri)
        if asking is None and len(self._asking) >= FETCHES_MAX:
            return
        if asking is None:
            asking = asyncio.create_task(self._fetch(uri), name="client-keys")
            self._asking[uri] = asking
            asking.add_done_callback(lambda _: self._asking.pop(uri, None))
        await asyncio.shield(asking)

    async def _fetch(self, uri: str) -> None:
        known, now_ms = self._kept.get(uri) or _Kept(), self._clock()
        try:
            told = msgspec.json.decode(await self._fetcher.fetch(uri), type=dict[str, Any])
            self._kept[uri] = _Kept(keys=read_keys(told), fetched_ms=now_ms, asked_ms=now_ms)
        except (KeyFetchError, ValueError, RecursionError) as error:
            _logger.warning("the keys of a client at %s: %s", urlsplit(uri).hostname, error)
            self._kept[uri] = msgspec.structs.replace(known, asked_ms=now_ms)
        self._kept.move_to_end(uri)
        if len(self._kept) > KEY_SETS_MAX:
            self._kept.popitem(last=False)


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    keys: list[PublicKey] = []
    fetched_ms: int = 0
    asked_ms: int = 0

    def is_wanting(self, kid: str | None, now_ms: int) -> bool:
        """Tell whether it is time to ask again."""
        is_known = kid is None or any(key.kid == kid for key in self.keys)
        wait_ms = FRESH_MS if is_known and self.fetched_ms == self.asked_ms else AGAIN_MS
        return now_ms - self.asked_ms >= wait_ms


class HttpsKeyFetcher:
    """Asks public https addresses.

    Args:
        resolver: finds the addresses of names.
        tls: whom to trust; the public authorities by default.
    """

    def __init__(self, resolver: AbstractResolver | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._resolver = resolver or PublicResolver(SystemResolver())
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, uri: str) -> bytes:
        """See ``KeyFetcher``."""
        try:
            check_key_address(uri)
            async with self._opened().get(uri, allow_redirects=False) as answer:
                if answer.status != _OK:
                    raise KeyFetchError(f"it answers {answer.status}")
                content = await answer.content.read(KEY_SET_BYTES_MAX + 1)
                while not answer.content.at_eof() and len(content) <= KEY_SET_BYTES_MAX:
                    content += await answer.content.read(KEY_SET_BYTES_MAX + 1 - len(content))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise KeyFetchError(type(error).__name__) from error
        if len(content) > KEY_SET_BYTES_MAX:
            raise KeyFetchError("the answer is too long")
        return content

    async def close(self) -> None:
        """See ``KeyFetcher``."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=FETCHES_MAX,
                    resolver=self._resolver,
                    ssl=self._tls or True,
                    use_dns_cache=False,
                    force_close=True,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=FETCH_WAIT_S),
                trust_env=False,
            )
        return self._session


class PublicResolver(AbstractResolver):
    """Resolves names for a connection; a name with one private address has none."""

    def __init__(self, names: Resolver) -> None:
        self._names = names

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses that are connected to, just as they were checked."""
        found = await self._names.addresses(host)
        try:
            for address in found:
                check_address(address, _WHERE)
        except PrivateAddressError as error:
            raise OSError("the address is private") from error
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
            if family == socket.AF_UNSPEC or (":" in address) == (family == socket.AF_INET6)
        ]

    async def close(self) -> None:
        """Nothing is held."""


def check_key_address(uri: str) -> None:
    """Refuse an address that must not be asked, as far as its text tells.

    Raises:
        ValueError: it is not a public https address.
    """
    parts = urlsplit(uri)
    if parts.scheme != "https" or not parts.hostname or parts.username is not None or parts.fragment:
        raise ValueError("the address is https, without user and fragment")
    _ = parts.port  # raises where it is none
    try:
        check_host(parts.hostname, _WHERE)
    except PrivateAddressError as error:
        raise ValueError("the address is private") from error
