"""The running switch: the pure hub, its courier, and the clock that expires transfers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import aiohttp

from payhub_platform.clock import Clock
from payhub_platform.security.jws import new_private_key_pem
from payhub_sandbox.switch.courier import Courier
from payhub_sandbox.switch.hub import EXPIRED_PER_TICK_MAX, MESSAGES_PER_REQUEST_MAX, Hub
from payhub_sandbox.switch.message import Incoming
from payhub_sandbox.switch.refusal import SERVICE_UNAVAILABLE, FspiopRefusalError

EXPIRY_TICK_MS: Final = 200
RETRY_AFTER_S: Final = 1

_UNAVAILABLE: Final = 503
_COPIES_MAX: Final = 2


class SwitchService:
    """Takes messages over HTTP and delivers what they cause."""

    def __init__(self, clock: Clock) -> None:
        self.hub = Hub(new_private_key_pem(), clock)
        self._courier: Courier | None = None

    @property
    def ready(self) -> bool:
        """Whether messages are taken."""
        return self._courier is not None

    def receive(self, incoming: Incoming) -> None:
        """Take one message; its callbacks go out in the background.

        Raises:
            FspiopRefusalError: refused, or 2003 (HTTP 503) while too many deliveries wait.
        """
        courier = self._courier
        if courier is None or not courier.has_room(MESSAGES_PER_REQUEST_MAX * _COPIES_MAX):
            raise FspiopRefusalError(SERVICE_UNAVAILABLE, "The switch is busy.", _UNAVAILABLE)
        courier.submit(self.hub.receive(incoming))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver and expire while the block runs."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
            courier = Courier(http, self.hub.context.participants)
            self._courier = courier
            expiry = asyncio.create_task(self._expire(courier))
            try:
                yield
            finally:
                self._courier = None
                expiry.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await expiry
                await courier.close()

    async def _expire(self, courier: Courier) -> None:
        while True:
            await asyncio.sleep(EXPIRY_TICK_MS / 1000)
            if courier.has_room(EXPIRED_PER_TICK_MAX * MESSAGES_PER_REQUEST_MAX * _COPIES_MAX):
                courier.submit(self.hub.expire())
