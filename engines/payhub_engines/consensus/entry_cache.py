"""The newest entries' bytes, kept in memory up to a bound; older ones are read from the journal."""

from collections import OrderedDict


class EntryCache:
    """Commands by index. What is not durable yet is never evicted, for it is nowhere else."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._commands: OrderedDict[int, bytes] = OrderedDict()

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._bytes

    def get(self, index: int) -> bytes | None:
        """Return a command, where it is held."""
        return self._commands.get(index)

    def put(self, index: int, command: bytes) -> None:
        """Hold a command whose index is above all others."""
        self._commands[index] = command
        self._bytes += len(command)

    def evict(self, durable_index: int) -> None:
        """Let go of the oldest durable commands until the bound is kept."""
        while self._bytes > self._bytes_max:
            index = next(iter(self._commands))
            if index > durable_index:
                return
            self._forget(index)

    def drop_from(self, index: int) -> None:
        """Forget an index and all above."""
        while self._commands and next(reversed(self._commands)) >= index:
            self._forget(next(reversed(self._commands)))

    def drop_below(self, index: int) -> None:
        """Forget all below an index."""
        while self._commands and next(iter(self._commands)) < index:
            self._forget(next(iter(self._commands)))

    def _forget(self, index: int) -> None:
        self._bytes -= len(self._commands.pop(index))
