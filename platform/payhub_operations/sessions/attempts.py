"""How often one address may guess a credential."""

from collections import OrderedDict
from typing import Final

from payhub_operations.sessions.errors import TooManyAttemptsError
from payhub_platform.clock import Clock

TRIES_MAX: Final = 20
TRIES_WINDOW_MS: Final = 60_000
ADDRESSES_MAX: Final = 1024


class Attempts:
    """Counts failed tries by address, in windows of one minute, in a bounded memory.

    An address, because a bound for all together would let anybody lock the operators out.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._failed)

    def check(self, address: str) -> None:
        """Refuse an address that has failed too often in its window.

        Raises:
            TooManyAttemptsError: it may try again when the window is over.
        """
        begun_ms, count = self._failed.get(address, (0, 0))
        left_ms = begun_ms + TRIES_WINDOW_MS - self._clock()
        if count >= TRIES_MAX and left_ms > 0:
            raise TooManyAttemptsError(-(-left_ms // 1000))

    def failed(self, address: str) -> None:
        """Count one failed try; the address that began its window first is forgotten when memory is full."""
        now_ms = self._clock()
        begun_ms, count = self._failed.get(address, (now_ms, 0))
        if now_ms - begun_ms >= TRIES_WINDOW_MS:
            self._failed.pop(address)
            begun_ms, count = now_ms, 0
        self._failed[address] = begun_ms, count + 1
        if len(self._failed) > ADDRESSES_MAX:
            self._failed.popitem(last=False)
