"""Writes that are not committed yet: an ordered map in memory laid over another."""

from bisect import bisect_left, insort
from collections.abc import Iterator


class Overlay:
    """Keys in byte order with their new value, or None where they are deleted."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes | None] = {}
        self._keys: list[bytes] = []

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: bytes) -> bool:
        return key in self._values

    def get(self, key: bytes) -> bytes | None:
        """Return the new value; None where it is deleted or untouched."""
        return self._values.get(key)

    def set(self, key: bytes, value: bytes | None) -> None:
        """Note a new value, or None for a deletion."""
        if key not in self._values:
            insort(self._keys, key)
        self._values[key] = value

    def items(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Iterate over all, in byte order."""
        return ((key, self._values[key]) for key in self._keys)

    def copy_range(self, prefix: bytes) -> list[tuple[bytes, bytes | None]]:
        """Return a copy of all with a prefix, in byte order."""
        begin = bisect_left(self._keys, prefix)
        end_key = upper_bound(prefix)
        end = len(self._keys) if end_key is None else bisect_left(self._keys, end_key)
        return [(key, self._values[key]) for key in self._keys[begin:end]]


def upper_bound(prefix: bytes) -> bytes | None:
    """Return the lowest key above all keys with a prefix; None where there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


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
