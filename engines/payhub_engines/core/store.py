"""What the core needs of storage: an ordered map of bytes, read and written inside one transaction."""

from collections.abc import Iterator
from typing import Protocol


class Store(Protocol):
    """An ordered key-value view. RocksDB in production, a sorted dict in tests and simulation."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None where there is none."""

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value."""

    def delete(self, key: bytes) -> None:
        """Remove the key; nothing happens where there is none."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over the keys with a prefix, in byte order, over a stable view."""
