"""The addresses of one engine's replicas, and which of them to ask first."""

from typing import Final

AVOID_S: Final = 2.0


class EngineReplicas:
    """Prefers the replica that led last, and for a while avoids one that did not answer.

    Args:
        addresses: base URL by replica id; one at least.
    """

    def __init__(self, addresses: dict[str, str]) -> None:
        self._addresses = addresses
        self._leader = next(iter(addresses.values()))
        self._failed_at_s: dict[str, float] = {}

    @property
    def size(self) -> int:
        """How many replicas there are."""
        return len(self._addresses)

    def next(self, now_s: float) -> str:
        """Return the address to ask: the leader's, else the one whose failure is longest ago."""
        avoided = {url: at_s for url, at_s in self._failed_at_s.items() if now_s - at_s < AVOID_S}
        if self._leader not in avoided:
            return self._leader
        return min(self._addresses.values(), key=lambda url: avoided.get(url, 0.0))

    def answered(self, url: str, leader: str) -> None:
        """Note that an address answered, and for which leader: that may be another replica."""
        self._failed_at_s.pop(url, None)
        self._leader = self._addresses.get(leader, self._leader)

    def failed(self, url: str, now_s: float) -> None:
        """Note that an address did not answer, or answered that nobody leads."""
        self._failed_at_s[url] = now_s
