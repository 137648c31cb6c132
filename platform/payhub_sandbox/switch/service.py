"""The running switch: the pure hub, its courier, and the clock that expires transfers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import aiohttp

from payhub_platform.clock import Clock
from payhub_sandbox.switch.climate import Climate, Forecast
from payhub_sandbox.switch.courier import Courier
from payhub_sandbox.switch.hub import EXPIRED_PER_TICK_MAX, MESSAGES_PER_REQUEST_MAX, Hub
from payhub_sandbox.switch.message import Incoming, Outgoing
from payhub_sandbox.switch.refusal import SERVICE_UNAVAILABLE, FspiopRefusalError
from payhub_sandbox.switch.resident import Resident
from payhub_sandbox.switch.signature import Algorithm, new_private_key_pem

EXPIRY_TICK_MS: Final = 200
RETRY_AFTER_S: Final = 1

_UNAVAILABLE: Final = 503
_COPIES_MAX: Final = 4  # a forced case and the climate may both double a message
_KINDS: Final = 3  # transfers, bulks and conversions expire apart


class SwitchService:
    """Takes messages over HTTP and delivers what they cause."""

    def __init__(
        self,
        clock: Clock,
        *,
        algorithm: Algorithm = "ES256",
        forced_cases: bool = False,
        climate: Climate | None = None,
    ) -> None:
        self.hub = Hub(new_private_key_pem(algorithm), clock, forced_cases=forced_cases)
        self.forecast = Forecast(climate or Climate())
        self._residents: dict[str, Resident] = {}
        self._courier: Courier | None = None

    def house(self, resident: Resident) -> None:
        """Let a DFSP of the sandbox's own take part; its participant is registered by who makes it."""
        self._residents[resident.fsp_id] = resident

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
        courier.submit(self.forecast.deliveries(self.hub.receive(incoming)))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver and expire while the block runs."""
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
            courier = Courier(http, self.hub.context.participants, self._at_home)
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
            if courier.has_room(EXPIRED_PER_TICK_MAX * MESSAGES_PER_REQUEST_MAX * _COPIES_MAX * _KINDS):
                courier.submit(self.forecast.deliveries(self.hub.expire()))

    def _at_home(self, message: Outgoing) -> bool:
        """Deliver to a DFSP of the sandbox's own, and take in what it says."""
        resident = self._residents.get(message.destination)
        if resident is None:
            return False
        for incoming in resident.receive(message):
            try:
                self.receive(incoming)
            except FspiopRefusalError as error:
                resident.refused(incoming, error.error_code)
        return True
