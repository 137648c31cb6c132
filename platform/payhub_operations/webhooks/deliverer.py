"""Sends what is due, so that no endpoint makes another one wait."""

import asyncio
import contextlib
import logging
from collections import Counter
from typing import Final

from payhub_operations.audit.model import moment
from payhub_operations.database import Database, DatabaseError
from payhub_operations.webhooks import attempts
from payhub_operations.webhooks.model import Answer, Delivery, next_attempt
from payhub_operations.webhooks.sender import Sender
from payhub_platform.clock import Clock

_logger = logging.getLogger(__name__)

ENDPOINT_SENDS_MAX: Final = 8  # at once to one endpoint; one where it fails
SENDS_MAX: Final = 400  # at once over all
RECORDS_MAX: Final = 1  # at once: the other connections to PostgreSQL are for the audit and pages
POLL_S: Final = 0.5


class Deliverer:
    """Sends at least once: an attempt is recorded before it is made, and is made again if its end is not."""

    def __init__(self, database: Database, sender: Sender, clock: Clock, poll_s: float = POLL_S) -> None:
        self._database = database
        self._sender = sender
        self._clock = clock
        self._poll_s = poll_s
        self._busy: Counter[tuple[str, str]] = Counter()
        self._ended = asyncio.Event()
        self._recording = asyncio.Semaphore(RECORDS_MAX)

    async def run(self) -> None:
        """Send until cancelled; what is on its way then is sent again, under the same id."""
        async with asyncio.TaskGroup() as sending:
            while True:
                self._ended.clear()
                for delivery in await self._claim():
                    self._busy[delivery.tenant, delivery.endpoint] += 1
                    sending.create_task(self._deliver(delivery), name=f"webhook-{delivery.number}")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_s):
                        await self._ended.wait()

    async def _claim(self) -> list[Delivery]:
        free = SENDS_MAX - self._busy.total()
        if free <= 0:
            return []
        try:
            async with self._database.writer() as connection:
                now = moment(self._clock())
                return await attempts.claim(connection, now, self._busy, ENDPOINT_SENDS_MAX, free)
        except DatabaseError as error:
            _logger.warning("webhooks wait for the database: %s", error.detail)
            return []

    async def _deliver(self, delivery: Delivery) -> None:
        key = delivery.tenant, delivery.endpoint
        try:
            began_ms = self._clock()
            answer = await self._sender.send(delivery, began_ms)
            await self._record(delivery, began_ms, answer)
        finally:
            self._busy[key] -= 1
            if not self._busy[key]:
                del self._busy[key]
            self._ended.set()

    async def _record(self, delivery: Delivery, began_ms: int, answer: Answer) -> None:
        now = moment(self._clock())
        try:
            async with self._recording, self._database.writer() as connection:
                if answer.error:
                    following = next_attempt(delivery, now)
                    await attempts.mark_refused(connection, delivery, now, following, answer.error)
                else:
                    await attempts.mark_delivered(connection, delivery, now)
                await attempts.note_attempt(connection, delivery, moment(began_ms), answer)
        except DatabaseError as error:
            # It stays as it was claimed: due again when its lease ends.
            _logger.warning("webhook %d: its attempt is not recorded: %s", delivery.number, error.detail)
