"""What the core needs of storage: an ordered map of bytes, to read."""

from collections.abc import Iterator
from typing import Protocol


class Store(Protocol):
    """The rows of the state as they were last written. RocksDB in production, a sorted dict in tests."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None where there is none."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over the keys with a prefix, in byte order, over a stable view."""
