"""The thread that waits for the disk in the event loop's place."""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Protocol

Work = Callable[[], None]
Done = Callable[[BaseException | None], None]


class Worker(Protocol):
    """Runs one piece of work after the other."""

    def run(self, work: Work, done: Done) -> None:
        """Run ``work``, then call ``done`` in the event loop, with what it raised or None."""

    def close(self) -> None:
        """Wait for the work that was given, and end."""


class ThreadWorker:
    """Implements ``Worker`` with a thread; cheaper than an executor, whose futures nobody needs here."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[tuple[Work, Done] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Work, done: Done) -> None:
        """Run ``work`` in the thread, then call ``done`` in the event loop."""
        self._queue.put((work, done))

    def close(self) -> None:
        """Wait for the work that was given, and end. Closing twice is allowed."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            work, done = item
            error: BaseException | None = None
            try:
                work()
            except BaseException as failure:  # noqa: BLE001 - told to who asked, whatever it is
                error = failure
            self._loop.call_soon_threadsafe(done, error)
