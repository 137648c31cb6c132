"""A replicated log in a list: entries at given indices, all committed; counts how many are read."""

from collections.abc import Sequence

import msgspec

from payhub_engines.consensus.errors import EntriesTrimmedError


class ListedLog:
    """What a reader needs of ``ReplicatedLog``."""

    def __init__(self) -> None:
        self._entries: dict[int, bytes] = {}
        self.first_index = 1
        self.commit_index = 0
        self.next_position = 1
        self.reads = 0

    def add(self, events: int, size: int = 1, *, holes: int = 0) -> int:
        """Commit an entry of so many events of so many bytes, behind indices that are never shown."""
        self.commit_index += 1 + holes
        event = [4, 1, 2, "x" * size]
        entry = [self.next_position, 1_000, [event] * events, {1: ["lion", "p", "tx", "t"]}, 9, 1]
        self._entries[self.commit_index] = msgspec.msgpack.encode(entry)
        self.next_position += events
        return self.commit_index

    def entries(self, from_index: int, bytes_max: int) -> list[tuple[int, bytes]]:
        if from_index < self.first_index:
            raise EntriesTrimmedError(from_index, self.first_index)
        found: list[tuple[int, bytes]] = []
        size = 0
        for index in range(from_index, self.commit_index + 1):
            data = self._entries.get(index)
            if data is None:
                continue
            size += len(data)
            if found and size > bytes_max:
                break
            self.reads += 1
            found.append((index, data))
        return found

    def trim(self, below_index: int) -> None:
        self.first_index = max(self.first_index, below_index)
        for index in [index for index in self._entries if index < below_index]:
            del self._entries[index]


def positions_of(entries: Sequence[bytes]) -> list[int]:
    """The positions of the events in entries."""
    return [
        position
        for first, _, events, *_ in map(msgspec.msgpack.decode, entries)
        for position in range(first, first + len(events))
    ]
