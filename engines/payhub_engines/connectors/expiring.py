"""A bounded memory of what others said, each entry for a while only."""

from collections import OrderedDict
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


class ExpiringCache(Generic[KeyT, ValueT]):
    """The latest entries; the oldest go first when it is full."""

    def __init__(self, capacity: int, keep_ms: int) -> None:
        self._capacity = capacity
        self._keep_ms = keep_ms
        self._entries: OrderedDict[KeyT, tuple[int, ValueT]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: KeyT, now_ms: int) -> ValueT | None:
        """Return what was kept, unless it is too old, or of a future that a clock set back made."""
        found = self._entries.get(key)
        if found is None:
            return None
        kept_at_ms, value = found
        if 0 <= now_ms - kept_at_ms < self._keep_ms:
            return value
        del self._entries[key]
        return None

    def keep(self, key: KeyT, value: ValueT, now_ms: int) -> None:
        """Keep an entry; it replaces the one of the same key."""
        self._entries.pop(key, None)
        self._entries[key] = (now_ms, value)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def drop(self, key: KeyT) -> None:
        """Forget an entry, if it is there."""
        self._entries.pop(key, None)
