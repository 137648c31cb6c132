"""Changes that are not written to the store yet, laid over it."""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from payhub_engines.core.store import Store

_TOP: Final = b"\xff" * 64


class Rows:
    """A view of a store with changes on top, which ``take`` gives away to be written."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changes: dict[bytes, bytes | None] = {}
        self._keys: list[bytes] = []  # of the changes, in byte order; sorted when somebody scans
        self._is_sorted = True

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None where there is none."""
        changes = self._changes
        return changes[key] if key in changes else self._store.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value."""
        self._note(key)
        self._changes[key] = value

    def delete(self, key: bytes) -> None:
        """Remove the key; nothing happens where there is none."""
        self._note(key)
        self._changes[key] = None

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over the keys with a prefix, in byte order, as they are at the call."""
        if not self._is_sorted:
            self._keys.sort()
            self._is_sorted = True
        begin, end = bisect_left(self._keys, prefix), bisect_left(self._keys, prefix + _TOP)
        changes = [(key, self._changes[key]) for key in self._keys[begin:end] if key.startswith(prefix)]
        return merge(self._store.scan(prefix), changes)

    def take(self) -> dict[bytes, bytes | None]:
        """Return the changes since the last call; None means deleted. The caller writes them to the store."""
        taken, self._changes, self._keys, self._is_sorted = self._changes, {}, [], True
        return taken

    def _note(self, key: bytes) -> None:
        if key not in self._changes:
            keys = self._keys
            self._is_sorted = self._is_sorted and (not keys or key > keys[-1])
            keys.append(key)


def merge(
    base: Iterator[tuple[bytes, bytes]], changes: list[tuple[bytes, bytes | None]]
) -> Iterator[tuple[bytes, bytes]]:
    """Iterate over a base with changes laid over it; both in byte order."""
    position = 0
    for key, value in base:
        while position < len(changes) and changes[position][0] < key:
            changed_key, changed = changes[position]
            position += 1
            if changed is not None:
                yield changed_key, changed
        if position < len(changes) and changes[position][0] == key:
            changed = changes[position][1]
            position += 1
            if changed is not None:
                yield key, changed
        else:
            yield key, value
    for changed_key, changed in changes[position:]:
        if changed is not None:
            yield changed_key, changed
