"""Remembers which signed statements were used, for as long as they could be used again."""

import hashlib
from collections import Counter, OrderedDict
from typing import Final

from payhub_gateway.oauth2 import model
from payhub_gateway.oauth2.store import REPLAYS, StateStore
from payhub_platform.errors import UnavailableError

# An assertion is refused once its iat is this old, whatever its exp says; iat itself may be a little ahead.
HOLD_MS: Final = (model.ASSERTION_AGE_MAX_S + 2 * model.CLOCK_LEEWAY_S) * 1000
PER_CLIENT_MAX: Final = 10_000
TOTAL_MAX: Final = 100_000
RETRY_AFTER_S: Final = 10
_DIGEST_BYTES: Final = 16


class ReplayStore:
    """A bounded memory of (client, jti). All are held equally long, so the oldest come first."""

    def __init__(
        self, per_client_max: int = PER_CLIENT_MAX, total_max: int = TOTAL_MAX, hold_ms: int = HOLD_MS
    ) -> None:
        self._per_client_max = per_client_max
        self._total_max = total_max
        self._hold_ms = hold_ms
        self._used: OrderedDict[bytes, tuple[int, str]] = OrderedDict()
        self._by_client: Counter[str] = Counter()

    def use(self, client_id: str, jti: str, now_ms: int) -> bool:
        """Note that a verified statement is used; return False when it was used before.

        Raises:
            UnavailableError: code ``overloaded``. Forgetting early would let a used one in again, so a
                full memory refuses new ones.
        """
        self._forget(now_ms)
        key = _digest(client_id, jti)
        if key in self._used:
            return False
        if self._by_client[client_id] >= self._per_client_max or len(self._used) >= self._total_max:
            raise UnavailableError(
                "overloaded",
                "Too many requests of one kind; keep a token until it expires.",
                retry_after_s=RETRY_AFTER_S,
            )
        self._used[key] = (now_ms + self._hold_ms, client_id)
        self._by_client[client_id] += 1
        return True

    def _forget(self, now_ms: int) -> None:
        while self._used:
            key, (forget_at_ms, client_id) = next(iter(self._used.items()))
            if forget_at_ms > now_ms:
                return
            del self._used[key]
            self._by_client[client_id] -= 1
            if not self._by_client[client_id]:
                del self._by_client[client_id]


async def use_everywhere(store: StateStore, owner: str, jti: str) -> bool:
    """Note in the shared store that a statement is used; return False when another copy saw it before.

    Raises:
        StoreUnavailableError: whether it was used elsewhere is not known.
    """
    return await store.create(REPLAYS, _digest(owner, jti).hex(), b"")


def _digest(owner: str, jti: str) -> bytes:
    text = f"{len(owner)}:{owner}{jti}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=_DIGEST_BYTES).digest()
