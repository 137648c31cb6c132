"""A NATS connection that never gives up, and never makes its owner wait."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoServersError

from payhub_platform import cancellation

_logger = logging.getLogger(__name__)

RECONNECT_WAIT_S: Final = 1
PENDING_BYTES_MAX: Final = 8 * 1024 * 1024
CONNECT_TIMEOUT_S: Final = 2
SUBSCRIBE_RETRY_S: Final = 0.3


class BusDownError(NatsError):
    """No server has answered yet; what was asked did not leave this process."""

    def __str__(self) -> str:
        return "NATS: no server has answered yet"


class Bus(Client):
    """A NATS client that connects in the background, so that a process starts with NATS down.

    Until the first connection publishing and subscribing raise ``BusDownError``; later the client
    reconnects for ever, and its subscriptions come back with it.
    """

    _connecting: asyncio.Task[None] | None = None
    _closing = False

    def connect_in_background(self, url: str, name: str) -> None:
        """Start connecting; returns at once."""
        self._connecting = asyncio.create_task(self._connect_until_there(url, name), name="nats-connect")

    async def publish(self, *args: Any, **options: Any) -> None:
        """Publish as the base class does."""
        self._require_started()
        await super().publish(*args, **options)

    async def subscribe(self, *args: Any, **options: Any) -> Any:
        """Subscribe as the base class does."""
        self._require_started()
        return await super().subscribe(*args, **options)

    async def serve(self, subject: str, answer: Callable[[Msg], Awaitable[None]]) -> None:
        """Give what arrives on a subject to ``answer``, as soon as NATS is there, until cancelled."""
        while True:
            try:
                subscription = await self.subscribe(subject, cb=answer)
            except NatsError:
                await asyncio.sleep(SUBSCRIBE_RETRY_S)
            else:
                break
        try:
            await asyncio.Event().wait()
        finally:
            with contextlib.suppress(NatsError):
                await subscription.unsubscribe()

    async def request(self, *args: Any, **options: Any) -> Any:
        """Ask as the base class does.

        The base class remembers its reply subject before it has subscribed to it, so a request that
        fails there would leave the client deaf to every later reply.
        """
        self._require_started()
        return await super().request(*args, **options)

    async def close(self) -> None:
        """Stop connecting, or close the connection."""
        self._closing = True
        if self._connecting is not None:
            await cancellation.end([self._connecting])
        # Closing while the server is gone finds the socket gone too; there is nothing left to flush.
        try:
            with contextlib.suppress(ConnectionError):
                await super().close()
        except asyncio.CancelledError:
            # nats-py waits for a socket whose waiter went with a reconnection: not we were cancelled.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise

    async def _on_disconnected(self) -> None:
        if not self._closing:
            _logger.warning("NATS: connection lost")

    def _require_started(self) -> None:
        if self._status == Client.DISCONNECTED or (self.is_connecting and not self._started):
            raise BusDownError

    @property
    def _started(self) -> bool:
        return self._connecting is not None and self._connecting.done()

    async def _connect_until_there(self, url: str, name: str) -> None:
        connecting = self.connect(
            url,
            name=name,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_WAIT_S,
            connect_timeout=CONNECT_TIMEOUT_S,
            pending_size=PENDING_BYTES_MAX,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=_on_reconnected,
            error_cb=_on_error,
        )
        attempts = asyncio.create_task(connecting, name="nats-attempts")
        try:
            await asyncio.shield(attempts)
        finally:
            # An event loop that ends cancels its tasks once, and that may be lost.
            await cancellation.end([attempts])
        _logger.info("NATS: connected")


async def connect(url: str, name: str) -> Bus:
    """Return a client at once; it connects in the background and stays connected."""
    bus = Bus()
    bus.connect_in_background(url, name)
    # One turn of the loop lets a server that is there answer before the first use in most cases.
    await asyncio.sleep(0)
    return bus


async def _on_reconnected() -> None:
    _logger.info("NATS: connected again")


async def _on_error(error: Exception) -> None:
    # A server that is not there is tried again quietly; the disconnection was logged once.
    if not isinstance(error, NoServersError | OSError):
        _logger.warning("NATS: %s", type(error).__name__)
