"""A store in memory: for the test kit, the simulator and tests."""

from bisect import bisect_left, insort
from collections.abc import Iterator

from payhub_engines.core.state import State


def write(state: State, store: "MemoryStore") -> None:
    """Write what has changed in a state to its store."""
    for key, value in state.take_changes().items():
        if value is None:
            store.delete(key)
        else:
            store.put(key, value)


class MemoryStore:
    """An ordered map of bytes. A scan sees the map as it was when the scan began."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []  # sorted

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None where there is none."""
        return self._values.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value."""
        if key not in self._values:
            insort(self._keys, key)
        self._values[key] = value

    def delete(self, key: bytes) -> None:
        """Remove the key; nothing happens where there is none."""
        if self._values.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Return an iterator over the keys with a prefix, in byte order, over a stable view."""
        view: list[tuple[bytes, bytes]] = []
        for index in range(bisect_left(self._keys, prefix), len(self._keys)):
            key = self._keys[index]
            if not key.startswith(prefix):
                break
            view.append((key, self._values[key]))
        return iter(view)
