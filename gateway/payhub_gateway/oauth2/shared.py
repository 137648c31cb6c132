"""What this copy of the gateway holds in memory of the shared store: clients, signers, revocations.

It follows the store in the background and keeps clients and signers on disk, so that a gateway that starts
while NATS is down knows them.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from payhub_gateway.oauth2 import model, records
from payhub_gateway.oauth2.records import RegisteredClient, Revocation, Signer
from payhub_gateway.oauth2.signatures import PublicKey, read_key
from payhub_gateway.oauth2.signing_keys import SigningKeys
from payhub_gateway.oauth2.store import CLIENTS, REVOKED, SIGNERS, Change, Kind, StateStore
from payhub_platform import cancellation
from payhub_platform.clock import Clock
from payhub_platform.errors import UnavailableError

_logger = logging.getLogger(__name__)

TEND_EVERY_S: Final = 30.0
SAVE_EVERY_S: Final = 0.5
_SWEEP_ABOVE: Final = 1000

RecordT = TypeVar("RecordT", bound=msgspec.Struct)


class _Cache(msgspec.Struct):
    clients: list[RegisteredClient] = []
    signers: list[Signer] = []


class SharedState:
    """The newest known clients, signers and revocations of all copies.

    Attributes:
        signers_version: grows whenever a key is withdrawn; what was verified by it must be verified again.

    Args:
        store: what the copies share.
        keys: this copy's own signing keys, which it publishes.
        clock: milliseconds since the Unix epoch.
        cache_file: where clients and signers are kept.
    """

    def __init__(self, store: StateStore, keys: SigningKeys, clock: Clock, cache_file: Path) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._cache_file = cache_file
        self._clients: dict[str, RegisteredClient] = {}
        self._signers: dict[str, tuple[Signer, PublicKey]] = {}
        self._revoked: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._unsaved = False
        self.signers_version = 0
        self._load()

    def client(self, client_id: str) -> RegisteredClient | None:
        """Return a client that registered itself."""
        return self._clients.get(client_id)

    def count_clients(self, tenant_id: str) -> int:
        """Return how many clients registered in the name of a tenant."""
        return sum(client.tenant_id == tenant_id for client in self._clients.values())

    def is_revoked(self, claims: model.AccessClaims) -> bool:
        """Tell whether a token, or the consent that it comes from, was revoked."""
        return bool(self._revoked) and (
            claims.jti in self._revoked or (claims.grant is not None and claims.grant in self._revoked)
        )

    def is_revoked_grant(self, grant_id: str) -> bool:
        """Tell whether a consent was revoked a moment ago."""
        return grant_id in self._revoked

    def verifier(self, kid: str) -> PublicKey | None:
        """Return the key that one of the copies signs with."""
        known = self._signers.get(kid)
        return None if known is None or known[0].forget_at_ms <= self._clock() else known[1]

    def public_jwks(self) -> list[dict[str, object]]:
        """Return the keys that verify access tokens, of all copies."""
        now_ms = self._clock()
        self._take_own()
        return [signer.jwk for signer, _ in self._signers.values() if signer.forget_at_ms > now_ms]

    async def revoke(self, revoked: str) -> None:
        """End a token or a grant at every copy; returns when they will all hear of it.

        Raises:
            StoreUnavailableError: this copy refuses it already, the others may not; ask again.
        """
        forget_at_ms = self._clock() + (model.TOKEN_LIFETIME_S + model.CLOCK_LEEWAY_S) * 1000
        self._revoked[revoked] = forget_at_ms
        record = Revocation(revoked=revoked, forget_at_ms=forget_at_ms)
        await self._store.create(REVOKED, records.key_of(revoked), records.encode(record))

    def take_client(self, client_id: str, client: RegisteredClient | None) -> None:
        """Know a registration at once, before the store tells of it."""
        if client is None:
            self._clients.pop(client_id, None)
        else:
            self._clients[client_id] = client
        self._unsaved = True

    def follow(self) -> None:
        """Follow the store, and publish this copy's keys, until ``close``; needs the running event loop."""
        followed: list[tuple[Kind, Callable[[Change], None]]] = [
            (CLIENTS, self._on_client),
            (SIGNERS, self._on_signer),
            (REVOKED, self._on_revocation),
        ]
        self._tasks = [
            asyncio.create_task(self._watch(kind, take), name=f"oauth-{kind.name}") for kind, take in followed
        ]
        self._tasks.append(asyncio.create_task(self._tend(), name="oauth-keys"))
        self._tasks.append(asyncio.create_task(self._keep(), name="oauth-cache"))

    async def close(self) -> None:
        """Stop following."""
        await cancellation.end(self._tasks)
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._unsaved:
            self._write(self._cached())

    async def _keep(self) -> None:
        """Keep changes on disk, many at once: a gateway that starts hears of thousands of clients."""
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            if self._unsaved:
                self._unsaved = False
                await asyncio.to_thread(self._write, self._cached())

    async def _watch(self, kind: Kind, take: Callable[[Change], None]) -> None:
        async for change in self._store.watch(kind):
            try:
                take(change)
            except msgspec.MsgspecError as error:
                # A record of a newer release; this copy goes on with those it understands.
                _logger.warning("a record of %s cannot be read: %s", kind.name, error)

    async def _tend(self) -> None:
        """Rotate the keys in time, and have every copy know them."""
        published: set[str] = set()
        waiting: set[str] = set()
        while True:
            self._keys.tend()
            self._take_own()
            for signer in self._keys.signers():
                kid = str(signer.jwk["kid"])
                name = f"{kid}:{signer.forget_at_ms // (3600 * 1000)}"
                if name in published:
                    continue
                try:
                    await self._publish(kid, signer)
                except UnavailableError as error:
                    if kid not in waiting:
                        _logger.info("token key %s is published later: %s", kid, error.code)
                    waiting.add(kid)
                else:
                    published = {*[said for said in published if not said.startswith(kid)], name}
            await asyncio.sleep(TEND_EVERY_S if published else 1.0)

    async def _publish(self, kid: str, signer: Signer) -> None:
        value = records.encode(signer)
        known = await self._store.get(SIGNERS, kid)
        if known is None:
            await self._store.create(SIGNERS, kid, value)
        elif known.value != value:
            await self._store.update(SIGNERS, kid, value, known.revision)

    def _take_own(self) -> None:
        for signer in self._keys.signers():
            kid = str(signer.jwk["kid"])
            known = self._signers.get(kid)
            self._signers[kid] = (signer, known[1] if known else read_key(signer.jwk))

    def _on_client(self, change: Change) -> None:
        read = None if change.value is None else msgspec.msgpack.decode(change.value, type=RegisteredClient)
        if self._clients.get(change.key) != read:
            self.take_client(change.key, read)

    def _on_signer(self, change: Change) -> None:
        known = self._signers.get(change.key)
        if change.value is None:
            # An operator withdraws a key that got into wrong hands: no token by it is good from now on.
            self._signers.pop(change.key, None)
            self.signers_version += known is not None
        else:
            read = msgspec.msgpack.decode(change.value, type=Signer)
            if known is not None and known[0] == read:
                return
            self._know(read)
        self._unsaved = True

    def _on_revocation(self, change: Change) -> None:
        if change.value is None:
            return
        read = msgspec.msgpack.decode(change.value, type=Revocation)
        self._revoked[read.revoked] = read.forget_at_ms
        if len(self._revoked) > _SWEEP_ABOVE:
            now_ms = self._clock()
            self._revoked = {name: until for name, until in self._revoked.items() if until > now_ms}

    def _know(self, signer: Signer) -> None:
        try:
            self._signers[str(signer.jwk["kid"])] = (signer, read_key(signer.jwk))
        except (ValueError, KeyError):
            _logger.warning("a published token key cannot be used")

    def _load(self) -> None:
        try:
            content = self._cache_file.read_bytes() if self._cache_file.exists() else None
            cached = _Cache() if content is None else msgspec.msgpack.decode(content, type=_Cache)
        except msgspec.MsgspecError:
            # The store tells all of it again; without it only configured clients are known.
            _logger.exception("%s cannot be read and is written anew", self._cache_file.name)
            cached = _Cache()
        self._clients = {client.client_id: client for client in cached.clients}
        for signer in cached.signers:
            self._know(signer)
        self._take_own()

    def _cached(self) -> bytes:
        now_ms = self._clock()
        signers = [signer for signer, _ in self._signers.values() if signer.forget_at_ms > now_ms]
        return msgspec.msgpack.encode(_Cache(list(self._clients.values()), signers))

    def _write(self, content: bytes) -> None:
        self._cache_file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._cache_file.with_name(f"{self._cache_file.name}.{os.getpid()}.new")
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._cache_file)
