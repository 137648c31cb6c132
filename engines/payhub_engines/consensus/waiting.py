"""Callers that wait: entries to be written, entries to be committed, reads to be allowed."""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from payhub_engines.consensus.errors import LogFullError

Appended = asyncio.Future[int]


class _Proposed(NamedTuple):
    term: int
    waiter: Appended


class Appends:
    """Entries on their way into the log, bounded in number and bytes until they are proposed."""

    def __init__(self, entries_max: int, bytes_max: int) -> None:
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._queue: deque[tuple[bytes, Appended]] = deque()
        self._queue_bytes = 0
        self._proposed: dict[int, _Proposed] = {}  # by index

    @property
    def is_queued(self) -> bool:
        """Whether entries wait to be proposed."""
        return bool(self._queue)

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits."""
        return not self._queue and not self._proposed

    def put(self, data: bytes) -> Appended:
        """Queue an entry; return what its caller waits for.

        Raises:
            LogFullError: too much waits already, proposed or not.
        """
        is_full = len(self._queue) + len(self._proposed) >= self._entries_max
        if is_full or self._queue_bytes + len(data) > self._bytes_max:
            raise LogFullError
        waiter: Appended = asyncio.get_running_loop().create_future()
        self._queue.append((data, waiter))
        self._queue_bytes += len(data)
        return waiter

    def take(self, bytes_max: int) -> Iterator[tuple[bytes, Appended]]:
        """Take entries until they have so many bytes; those whose caller gave up are left out."""
        size = 0
        while self._queue and size < bytes_max:
            data, waiter = self._queue.popleft()
            self._queue_bytes -= len(data)
            if not waiter.cancelled():  # else nobody waits for it and nothing of it is on disk
                size += len(data)
                yield data, waiter

    def proposed(self, index: int, term: int, waiter: Appended) -> None:
        """Note where an entry stands in the log."""
        self._proposed[index] = _Proposed(term, waiter)

    def applied(self, index: int) -> None:
        """Tell the caller whose entry is applied. Proposed are entries of the current term only."""
        found = self._proposed.pop(index, None)
        if found is not None and not found.waiter.done():
            found.waiter.set_result(index)

    def fail(self, queued: Exception, proposed: Exception) -> None:
        """Tell all that their entries were not taken, or that nobody knows."""
        waiting = [(waiter, queued) for _, waiter in self._queue]
        waiting += [(each.waiter, proposed) for each in self._proposed.values()]
        self._queue.clear()
        self._queue_bytes = 0
        self._proposed.clear()
        for waiter, error in waiting:
            if not waiter.done():
                waiter.set_exception(error)


class Barriers:
    """Reads that wait until a majority has confirmed this leader; those that come together share a round."""

    def __init__(self) -> None:
        self._new: list[asyncio.Future[None]] = []
        self._rounds: deque[tuple[int, list[asyncio.Future[None]]]] = deque()

    @property
    def is_new(self) -> bool:
        """Whether somebody waits for a round to begin."""
        return bool(self._new)

    def put(self) -> asyncio.Future[None]:
        """Return what a read waits for."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._new.append(waiter)
        return waiter

    def begun(self, number: int) -> None:
        """Note the round that all new ones wait for."""
        self._rounds.append((number, self._new))
        self._new = []

    @property
    def oldest(self) -> int | None:
        """The lowest round that somebody waits for."""
        return self._rounds[0][0] if self._rounds else None

    def confirmed(self) -> None:
        """Let the reads of the oldest round go on."""
        for waiter in self._rounds.popleft()[1]:
            if not waiter.done():
                waiter.set_result(None)

    def fail(self, error: Exception) -> None:
        """Refuse all reads."""
        waiting = [*self._new, *(waiter for _, waiters in self._rounds for waiter in waiters)]
        self._new = []
        self._rounds.clear()
        for waiter in waiting:
            if not waiter.done():
                waiter.set_exception(error)
