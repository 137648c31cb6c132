"""Holding answers back, but never beyond the end of the sandbox."""

import asyncio
import contextlib


class Patience:
    """Waits for a bank's slow answers; whoever waits when the sandbox ends is let go at once."""

    def __init__(self) -> None:
        self._ended = asyncio.Event()

    async def hold(self, delay_ms: int) -> None:
        """Wait so long, or until the end."""
        if delay_ms:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), delay_ms / 1000)

    def end(self) -> None:
        """Let go all who wait, and who will."""
        self._ended.set()
