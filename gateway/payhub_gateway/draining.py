"""Stopping without failing a request: what is under way is finished, and clients are led elsewhere first.

A client with an open connection may be sending its next request just when the connection is closed. So a
stopping process is no longer ready, tells each client with its next answer that the connection ends there,
and closes only what was silent for a while. A worker leaves new connections to the others at once; a process
alone takes them until then, because closing its port would cut off who waits there.
"""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from typing import Final

from payhub_platform.serving import Server

DRAIN_S: Final = 2.0
GRACE_S: Final = 6  # a request waits 5 s for its engine at most
POLL_S: Final = 0.05


class Draining:
    """Whether this process is about to stop: then every answer ends its connection."""

    def __init__(self) -> None:
        self.is_on = False


async def serve(http: Server, draining: Draining, listener: socket.socket | None = None) -> None:
    """Serve until SIGTERM, SIGINT or, where a parent gave the listener, the parent's end; then drain."""
    asked = asyncio.Event()
    # From its first moment on: the server itself would cut connections off.
    http.handle_exit = lambda *_signal: asked.set()  # type: ignore[method-assign]
    serving = asyncio.create_task(http.serve([listener] if listener else None), name="http")
    while not (http.started or serving.done()):  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(POLL_S)
    with _parent(asked) if listener else contextlib.nullcontext():
        stop = asyncio.create_task(asked.wait(), name="stop")
        await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        draining.is_on = True
        if listener is not None:
            for server in http.servers:  # the other workers accept what waits there
                server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while http.server_state.connections and not serving.done():  # noqa: ASYNC110 - nor for it
                    await asyncio.sleep(POLL_S)
        http.should_exit = True
        await serving


@contextlib.contextmanager
def _parent(asked: asyncio.Event) -> Iterator[None]:
    """Tell the parent that this worker serves, and ask for a stop when the parent has ended."""
    try:
        os.write(sys.stdout.fileno(), b"ready\n")
    except BrokenPipeError:
        asked.set()  # it has ended already
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin, asked.set)  # nothing is ever sent: it can be read when the parent has ended
    try:
        yield
    finally:
        loop.remove_reader(sys.stdin)
