"""What the copies of a gateway share: requests, codes, grants, used ids, clients, keys and revocations.

The store knows bytes, names and lifetimes only; what they mean is in ``records``. ``bucket_store`` keeps
them in NATS.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

import msgspec

from payhub_platform.clock import Clock
from payhub_platform.errors import UnavailableError

MIB: Final = 1024 * 1024
DAY_S: Final = 86_400
RETRY_AFTER_S: Final = 2


class Kind(msgspec.Struct, frozen=True):
    """One kind of record and its bounds.

    Attributes:
        name: part of the bucket's name.
        lifetime_s: how long the store keeps a record after it was written last; 0 means for ever.
        bytes_max: how much all records of the kind may take together.
        value_bytes_max: how much one may take.
    """

    name: str
    lifetime_s: int
    bytes_max: int = 32 * MIB
    value_bytes_max: int = 32 * 1024


PUSHED: Final = Kind("pushed", 600)
CODES: Final = Kind("codes", 600)
GRANTS: Final = Kind("grants", 90 * DAY_S, 256 * MIB)
REPLAYS: Final = Kind("replays", 400, 128 * MIB, 64)
REVOKED: Final = Kind("revoked", 600)
CLIENTS: Final = Kind("clients", 0, 256 * MIB)
SIGNERS: Final = Kind("signers", 90 * DAY_S, 4 * MIB)
KINDS: Final = (PUSHED, CODES, GRANTS, REPLAYS, REVOKED, CLIENTS, SIGNERS)


class Entry(msgspec.Struct, frozen=True):
    """A record and its revision, which changes with every write."""

    value: bytes
    revision: int


class Change(msgspec.Struct, frozen=True):
    """A record as it is now; ``value`` is None when it was deleted."""

    key: str
    value: bytes | None


class StoreUnavailableError(UnavailableError):
    """The shared store does not answer in time; what was asked may or may not have been done."""

    def __init__(self) -> None:
        super().__init__(
            "oauth-store-unavailable",
            "The store that the gateways share does not answer.",
            retry_after_s=RETRY_AFTER_S,
        )


class StoreFullError(UnavailableError):
    """A kind of record has used up its room; nothing was forgotten to make some."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(
            "oauth-store-full", f"There is no room for more {kind.name}.", retry_after_s=RETRY_AFTER_S
        )


class StateStore(Protocol):
    """Records that every copy of the gateway sees. Keys are letters, digits, ``-`` and ``_``.

    Every method raises ``StoreUnavailableError`` while the store cannot be reached, and the writing ones
    ``StoreFullError``.
    """

    async def get(self, kind: Kind, key: str) -> Entry | None:
        """Return a record."""

    async def create(self, kind: Kind, key: str, value: bytes) -> bool:
        """Write a record that is not there; return False, and write nothing, where it is."""

    async def update(self, kind: Kind, key: str, value: bytes, revision: int) -> bool:
        """Replace a record; return False, and write nothing, where it is no longer at the revision."""

    async def delete(self, kind: Kind, key: str) -> None:
        """Remove a record, whether it is there or not."""

    def watch(self, kind: Kind) -> AsyncIterator[Change]:
        """Tell all records of a kind, then every change, for ever; a record may be told more than once."""


class MemoryStore:
    """A store for one process: several copies of the gateway in it may share one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._records: dict[tuple[str, str], tuple[Entry, int]] = {}
        self._revision = 0
        self._watchers: list[tuple[Kind, asyncio.Queue[Change]]] = []

    async def get(self, kind: Kind, key: str) -> Entry | None:
        """See ``StateStore``."""
        found = self._records.get((kind.name, key))
        return found[0] if found is not None and self._lasts(found[1]) else None

    async def create(self, kind: Kind, key: str, value: bytes) -> bool:
        """See ``StateStore``."""
        return await self._write(kind, key, value, lambda entry: entry is None)

    async def update(self, kind: Kind, key: str, value: bytes, revision: int) -> bool:
        """See ``StateStore``."""
        return await self._write(
            kind, key, value, lambda entry: entry is not None and entry.revision == revision
        )

    async def delete(self, kind: Kind, key: str) -> None:
        """See ``StateStore``."""
        if self._records.pop((kind.name, key), None) is not None:
            self._tell(kind, Change(key, None))

    async def watch(self, kind: Kind) -> AsyncIterator[Change]:
        """See ``StateStore``."""
        queue: asyncio.Queue[Change] = asyncio.Queue()
        for (name, key), (entry, until_ms) in list(self._records.items()):
            if name == kind.name and self._lasts(until_ms):
                queue.put_nowait(Change(key, entry.value))
        self._watchers.append((kind, queue))
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers.remove((kind, queue))

    async def _write(self, kind: Kind, key: str, value: bytes, fits: Callable[[Entry | None], bool]) -> bool:
        if not fits(await self.get(kind, key)):
            return False
        self._drop_expired()
        taken = sum(len(entry.value) for (name, _), (entry, _) in self._records.items() if name == kind.name)
        if len(value) > kind.value_bytes_max or taken + len(value) > kind.bytes_max:
            raise StoreFullError(kind)
        self._revision += 1
        until_ms = self._clock() + kind.lifetime_s * 1000 if kind.lifetime_s else 0
        self._records[kind.name, key] = (Entry(value, self._revision), until_ms)
        self._tell(kind, Change(key, value))
        return True

    def _tell(self, kind: Kind, change: Change) -> None:
        for watched, queue in self._watchers:
            if watched.name == kind.name:
                queue.put_nowait(change)

    def _lasts(self, until_ms: int) -> bool:
        return until_ms == 0 or until_ms > self._clock()

    def _drop_expired(self) -> None:
        for name in [name for name, (_, until_ms) in self._records.items() if not self._lasts(until_ms)]:
            del self._records[name]
