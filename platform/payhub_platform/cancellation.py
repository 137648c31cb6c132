"""An end for tasks that holds also where Python loses a cancellation."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

AGAIN_S: Final = 0.5  # what a task may take to tidy up before it is told again


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until each has ended, whatever it raises.

    Up to Python 3.11 ``asyncio.wait_for`` loses a cancellation that meets an answer or a failure. nats-py
    waits so for each connection and each reply, and goes on; who waited for its end would do so for ever.
    """
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        ended, waiting = await asyncio.wait(waiting, timeout=AGAIN_S)
        await asyncio.gather(*ended, return_exceptions=True)
