"""What each bank may take of the engine: so many calls at once, and none while it does not answer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from opentelemetry import metrics

from payhub_engines.connectors.ams.breaker import Admission, Breaker, Circuit
from payhub_engines.connectors.ams.errors import (
    RETRY_AFTER_MS,
    BankBusyError,
    CircuitOpenError,
)
from payhub_engines.connectors.http import AnswerTooLongError, HttpAnswer, UnreachableError
from payhub_platform.clock import Clock

CALLS_PER_TENANT_MAX: Final = 16  # a slow bank fills its own places only
PLACE_WAIT_S: Final = 10.0
SLOW_MS: Final = 2_000  # calls under way for so long: who comes now does not wait behind them
SLOW_RETRY_MS: Final = 1_000
OVERLOADED: Final = frozenset({429, 502, 503, 504})  # an answer that the bank cannot answer now

_logger = logging.getLogger(__name__)
_meter: Final = metrics.get_meter("payhub.ams")
_calls: Final = _meter.create_counter("payhub.ams.calls", description="Calls of core banks, by outcome")
_openings: Final = _meter.create_counter("payhub.ams.circuit.openings", description="Circuits that opened")
_running: Final = _meter.create_up_down_counter("payhub.ams.calls.running", description="Calls under way")


class BankGuard:
    """Places and circuit of one tenant's bank."""

    def __init__(self, tenant_id: str, clock: Clock) -> None:
        self.breaker = Breaker()
        self._tenant_id = tenant_id
        self._clock = clock
        self._places = asyncio.Semaphore(CALLS_PER_TENANT_MAX)
        self._labels = {"tenant": tenant_id}
        self._under_way: dict[object, int] = {}  # since when, the oldest first

    async def run(self, send: Callable[[], Awaitable[HttpAnswer]]) -> HttpAnswer:
        """Call the bank when there is a place.

        Raises:
            CircuitOpenError: the bank is left alone now.
            BankBusyError: no place came free in time.
            JobFailedError: what ``send`` raises.
        """
        admission = await self._enter()
        outcome, turn = "abandoned", object()
        self._under_way[turn] = self._clock()
        _running.add(1, self._labels)
        try:
            answer = await send()
            outcome = "failed" if answer.status in OVERLOADED else "answered"
        except AnswerTooLongError:
            outcome = "answered"
            raise
        except UnreachableError:
            outcome = "failed"
            raise
        finally:
            self._places.release()
            del self._under_way[turn]
            _running.add(-1, self._labels)
            _calls.add(1, {**self._labels, "outcome": outcome})
            self._settle(admission, outcome)
        return answer

    async def _enter(self) -> Admission:
        wait_ms = self.breaker.wait_ms(self._clock())
        if wait_ms:
            raise _shut(wait_ms)
        if self._places.locked():
            await self._wait_for_place()
        else:
            await self._places.acquire()  # at once
        # While it waited for the place, others may have found out that the bank is down.
        admission = self.breaker.admit(self._clock())
        if admission.wait_ms:
            self._places.release()
            raise _shut(admission.wait_ms)
        return admission

    async def _wait_for_place(self) -> None:
        """Wait for a place, unless the bank is slow: a job that waits holds a place of the engine's."""
        oldest_ms = next(iter(self._under_way.values()), self._clock())
        if self._clock() - oldest_ms > SLOW_MS:
            raise BankBusyError(f"{CALLS_PER_TENANT_MAX} calls wait for the bank's answers", SLOW_RETRY_MS)
        try:
            async with asyncio.timeout(PLACE_WAIT_S):
                await self._places.acquire()
        except TimeoutError as error:
            text = f"{CALLS_PER_TENANT_MAX} calls are under way and the bank is slow"
            raise BankBusyError(text, RETRY_AFTER_MS) from error

    def _settle(self, admission: Admission, outcome: str) -> None:
        before = self.breaker.circuit
        if outcome == "answered":
            self.breaker.answered(admission)
        elif outcome == "failed":
            self.breaker.failed(admission, self._clock())
        else:
            self.breaker.abandoned(admission)
        after = self.breaker.circuit
        if after is before:
            return
        if after is Circuit.OPEN and outcome == "failed":
            _openings.add(1, self._labels)
            _logger.warning("the bank of tenant %s does not answer and is left alone", self._tenant_id)
        elif after is Circuit.CLOSED:
            _logger.warning("the bank of tenant %s answers again", self._tenant_id)


def _shut(wait_ms: int) -> CircuitOpenError:
    return CircuitOpenError("the bank does not answer and is left alone for now", wait_ms)
