"""Delivers the switch's messages in the background, and keeps trying while a DFSP is down."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import aiohttp
from yarl import URL

from payhub_platform import cancellation
from payhub_sandbox.switch.message import Outgoing
from payhub_sandbox.switch.participants import Participants
from payhub_sandbox.switch.target import resource_of

PENDING_MAX: Final = 4_096
CONNECTIONS_PER_URL_MAX: Final = 32
ATTEMPT_TIMEOUT_MS: Final = 5_000
BACKOFF_FIRST_MS: Final = 100
BACKOFF_LAST_MS: Final = 2_000
ATTEMPTS_MAX: Final = 45  # with the back-off above: a DFSP may be away for well over a minute

_RETRIED_CLIENT_STATUSES: Final = frozenset({408, 425, 429})
_ACCEPTED: Final = 202
_CLIENT_ERRORS: Final = range(400, 500)
_SUCCESS: Final = range(200, 300)
_logger = logging.getLogger(__name__)


def backoff_ms(attempt: int) -> int:
    """Return how long to wait after the n-th attempt (from 1): doubling, with a ceiling."""
    return int(min(BACKOFF_LAST_MS, BACKOFF_FIRST_MS * 2 ** min(attempt - 1, 10)))


def is_final(status: int) -> bool:
    """Tell whether a DFSP's answer ends the delivery: it took the message, or will never take it."""
    return status in _SUCCESS or (status in _CLIENT_ERRORS and status not in _RETRIED_CLIENT_STATUSES)


class Courier:
    """A bounded set of deliveries under way; one slow DFSP holds up no other.

    Attributes:
        at_home: delivers to a DFSP of the sandbox's own; False where the message is for somebody else.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        participants: Participants,
        at_home: Callable[[Outgoing], bool],
    ) -> None:
        self._http = http
        self._participants = participants
        self._at_home = at_home
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(CONNECTIONS_PER_URL_MAX)
        )

    @property
    def pending(self) -> int:
        """How many messages are not delivered yet."""
        return len(self._tasks)

    def has_room(self, messages: int) -> bool:
        """Tell whether that many more messages may be handed in."""
        return self.pending + messages <= PENDING_MAX

    def submit(self, messages: list[Outgoing]) -> None:
        """Start to deliver messages; the caller has asked ``has_room`` before it changed anything."""
        for message in messages:
            for _ in range(message.copies):
                task = asyncio.create_task(self._deliver(message))
                self._tasks.add(task)
                task.add_done_callback(self._done)

    async def close(self) -> None:
        """Drop what is not delivered; the sandbox keeps nothing over a restart."""
        await cancellation.end(self._tasks)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _logger.error("a delivery failed unexpectedly", exc_info=task.exception())

    async def _deliver(self, message: Outgoing) -> None:
        if message.delay_ms:
            await asyncio.sleep(message.delay_ms / 1000)
        for attempt in range(1, ATTEMPTS_MAX + 1):
            status = await self._attempt(message, attempt)
            if status in _SUCCESS:
                return
            if status is not None and is_final(status):
                _logger.warning(
                    "%s refused %s %s: %d",
                    message.destination,
                    message.method,
                    resource_of(message.path),
                    status,
                )
                return
            await asyncio.sleep(backoff_ms(attempt) / 1000)
        _logger.warning("gave up on %s after %d attempts", message.destination, ATTEMPTS_MAX)

    async def _attempt(self, message: Outgoing, attempt: int) -> int | None:
        """Send once; the URL is read each time, because a participant may move meanwhile."""
        participant = self._participants.get(message.destination)
        if participant is None:
            return None
        if self._at_home(message):
            return _ACCEPTED
        url = participant.callback_url(message.lane, attempt)
        timeout = aiohttp.ClientTimeout(total=ATTEMPT_TIMEOUT_MS / 1000)
        try:
            async with (
                self._turns[url],
                self._http.request(
                    message.method,
                    URL(url + message.path, encoded=True),
                    data=message.body or None,
                    headers=message.headers,
                    timeout=timeout,
                    allow_redirects=False,
                ) as response,
            ):
                return response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            _logger.info("%s is not reachable: %s", message.destination, type(error).__name__)
            return None
