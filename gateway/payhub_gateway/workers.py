"""Several worker processes behind one port: one for each core.

The parent holds the listening socket and never serves. A worker that dies is started again; SIGHUP replaces
all, one after the other, each by one that serves already, so that a new release or setting fails no request.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from typing import Final

_logger = logging.getLogger(__name__)

START_WAIT_S: Final = 60.0
STOP_WAIT_S: Final = 9.0  # it drains and finishes within 8 s
RESTART_WAIT_S: Final = 0.5
BACKLOG: Final = 2048


class WorkerFailedError(Exception):
    """A worker ended before it served."""


class Workers:
    """Runs workers until it is told to stop.

    Args:
        count: how many.
        listener: what they accept connections from.
    """

    def __init__(self, count: int, listener: socket.socket) -> None:
        self._count = count
        self._listener = listener
        self._running: dict[int, Process] = {}
        self._stop = asyncio.Event()
        self._replace = asyncio.Event()

    async def run(self) -> int:
        """Run until SIGTERM or SIGINT; return the exit status."""
        loop = asyncio.get_running_loop()
        for sent in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sent, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._replace.set)
        try:
            # One after the other: the first makes what all share on disk.
            for number in range(1, self._count + 1):
                self._running[number] = await self._start(number)
            while not self._stop.is_set():
                await self._wait()
                await self._look_after()
        except WorkerFailedError:
            return 1
        finally:
            await asyncio.gather(*(_end(worker) for worker in self._running.values()))
        return 0

    async def _wait(self) -> None:
        """Wait until there is something to do."""
        ends = [asyncio.create_task(worker.wait()) for worker in self._running.values()]
        asked = [asyncio.create_task(event.wait()) for event in (self._stop, self._replace)]
        await asyncio.wait([*ends, *asked], return_when=asyncio.FIRST_COMPLETED)
        for task in (*ends, *asked):
            task.cancel()

    async def _look_after(self) -> None:
        for number, worker in list(self._running.items()):
            if worker.returncode is not None and not self._stop.is_set():
                _logger.error("worker %d ended with %d and is started again", number, worker.returncode)
                await asyncio.sleep(RESTART_WAIT_S)
                with contextlib.suppress(WorkerFailedError):  # tried again in the next round
                    self._running[number] = await self._start(number)
        if not self._replace.is_set():
            return
        self._replace.clear()
        for number, old in list(self._running.items()):
            if self._stop.is_set():
                return
            try:
                self._running[number] = await self._start(number)
            except WorkerFailedError:
                _logger.error("the workers that run go on")  # noqa: TRY400 - the new one has said why
                return
            await _end(old)

    async def _start(self, number: int) -> Process:
        """Start a worker and wait until it serves."""
        descriptor = self._listener.fileno()
        arguments = ("-m", "payhub_gateway", "worker", str(number), str(descriptor))
        worker = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdin=PIPE, stdout=PIPE, pass_fds=[descriptor]
        )
        assert worker.stdout is not None  # noqa: S101 - a pipe was asked for
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_WAIT_S):
                if await worker.stdout.readline():
                    return worker
        await _end(worker)
        raise WorkerFailedError


async def _end(worker: Process) -> None:
    """Have a worker stop, and kill it where it does not."""
    with contextlib.suppress(ProcessLookupError):
        worker.terminate()
    try:
        async with asyncio.timeout(STOP_WAIT_S):
            await worker.wait()
    except TimeoutError:
        _logger.warning("a worker did not stop in %.0f s and is killed", STOP_WAIT_S)
        worker.kill()
        await worker.wait()


def listen(host: str, port: int) -> socket.socket:
    """Open the socket that all workers accept from."""
    listener = socket.create_server(
        (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=BACKLOG
    )
    listener.set_inheritable(True)
    return listener
