"""Remembers which client assertions were used, for as long as they could be used again."""

from collections import Counter, OrderedDict
from typing import Final

from payhub_gateway.oauth2 import model
from payhub_platform.errors import UnavailableError

# An assertion is refused once its iat is this old, whatever its exp says; iat itself may be a little ahead.
HOLD_MS: Final = (model.ASSERTION_AGE_MAX_S + 2 * model.CLOCK_LEEWAY_S) * 1000
PER_CLIENT_MAX: Final = 10_000
TOTAL_MAX: Final = 100_000
RETRY_AFTER_S: Final = 10


class ReplayStore:
    """A bounded memory of (client, jti). All entries are held equally long, so the oldest come first."""

    def __init__(self, per_client_max: int = PER_CLIENT_MAX, total_max: int = TOTAL_MAX) -> None:
        self._per_client_max = per_client_max
        self._total_max = total_max
        self._forget_at_ms: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._by_client: Counter[str] = Counter()

    def use(self, client_id: str, jti: str, now_ms: int) -> bool:
        """Note that a verified assertion is used; return False when it was used before.

        Raises:
            UnavailableError: code ``overloaded``. Forgetting early would let a used assertion in again, so a
                full memory refuses new ones.
        """
        self._forget(now_ms)
        if (client_id, jti) in self._forget_at_ms:
            return False
        if self._by_client[client_id] >= self._per_client_max or len(self._forget_at_ms) >= self._total_max:
            raise UnavailableError(
                "overloaded",
                "Too many token requests; keep a token until it expires.",
                retry_after_s=RETRY_AFTER_S,
            )
        self._forget_at_ms[client_id, jti] = now_ms + HOLD_MS
        self._by_client[client_id] += 1
        return True

    def _forget(self, now_ms: int) -> None:
        while self._forget_at_ms:
            key, forget_at_ms = next(iter(self._forget_at_ms.items()))
            if forget_at_ms > now_ms:
                return
            del self._forget_at_ms[key]
            self._by_client[key[0]] -= 1
            if not self._by_client[key[0]]:
                del self._by_client[key[0]]
