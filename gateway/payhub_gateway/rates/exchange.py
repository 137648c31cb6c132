"""The copies of a gateway tell one another, through a NATS bucket, what their clients use.

While NATS is down nothing is told and nothing changes: each copy goes on with the share it had.
"""

import asyncio
import contextlib
import logging
import uuid
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig
from nats.js.errors import NotFoundError as BucketNotFoundError
from nats.js.kv import KeyValue

from payhub_gateway.rates.model import CopyCounts
from payhub_gateway.rates.service import Others, RateLimits
from payhub_platform import cancellation
from payhub_platform.bus import subjects

_logger = logging.getLogger(__name__)

INTERVAL_S: Final = 1.0
QUIET_INTERVALS_MAX: Final = 5  # a copy that has nothing new says so once in so many intervals
TOLD_INTERVALS_MIN: Final = 2
LIVE_INTERVALS: Final = 15  # a copy that was silent so long has ended
COPY_BYTES_MAX: Final = 900_000
BUCKET_BYTES_MAX: Final = 256 * 1024 * 1024
KEPT_S: Final = 2 * 86_400
CALL_TIMEOUT_S: Final = 1.0

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(CopyCounts)


class View:
    """What this copy has heard of the others. Pure: time is counted in intervals of its own."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._interval = 0
        self._latest: dict[str, CopyCounts] = {}
        self._before: dict[str, CopyCounts] = {}
        self._heard_at: dict[str, int] = {}

    def take(self, copy: str, counts: CopyCounts) -> None:
        """Take what a copy told, or what this one told itself and others have heard with it."""
        known = self._latest.get(copy)
        if known is not None and known.turn >= counts.turn:
            return  # heard again: a watcher that is renewed tells all once more
        self._latest[copy] = counts
        self._heard_at[copy] = self._interval

    def end_interval(self) -> None:
        """Let time pass by one interval."""
        self._interval += 1
        self._before = dict(self._latest)

    @property
    def is_fresh(self) -> bool:
        """Whether the bucket still echoes what this copy says; if not, the others are not heard either."""
        heard_at = self._heard_at.get(self._own)
        return heard_at is not None and self._interval - heard_at <= 2 * QUIET_INTERVALS_MAX

    def others(self, day: int) -> Others:
        """Return what is known of the other copies, and of today's use by those that have ended."""
        used: dict[str, int] = {}
        demand: dict[str, int] = {}
        live = 0
        for copy, counts in self._latest.items():
            if copy == self._own:
                continue
            is_live = self._is_live(copy)
            live += is_live
            before = self._before.get(copy, counts)
            for client, count in counts.clients.items():
                if counts.day == day:
                    used[client] = used.get(client, 0) + count.used
                if is_live:
                    told_before = before.clients.get(client)
                    most = max(count.demand, told_before.demand if told_before else 0)
                    demand[client] = demand.get(client, 0) + most
        return Others(live, used, demand)

    def forget_before(self, day: int) -> None:
        """Forget copies that have ended on an earlier day."""
        ended = [
            copy for copy, counts in self._latest.items() if counts.day < day and not self._is_live(copy)
        ]
        for copy in ended:
            del self._latest[copy], self._heard_at[copy]

    def _is_live(self, copy: str) -> bool:
        heard_ago = self._interval - self._heard_at[copy]
        return heard_ago < LIVE_INTERVALS and not self._latest[copy].is_last


class Exchange:
    """Tells of this copy and hears of the others until it is closed.

    Args:
        limits: of this copy.
        interval_s: how often it tells.
    """

    def __init__(self, limits: RateLimits, interval_s: float = INTERVAL_S) -> None:
        self._limits = limits
        self._interval_s = interval_s
        self._copy = uuid.uuid4().hex
        self._view = View(self._copy)
        self._bucket: KeyValue | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._told: CopyCounts | None = None
        self._quiet = 0
        self._told_intervals = 0

    def open(self, client: Client) -> None:
        """Begin, in the background."""
        self._tasks = [
            asyncio.create_task(self._follow(client), name="rates-follow"),
            asyncio.create_task(self._tell_for_ever(), name="rates-tell"),
        ]

    async def close(self) -> None:
        """Say so to the others, and end."""
        await cancellation.end(self._tasks)
        await self._tell(msgspec.structs.replace(self._limits.report(), is_last=True))

    async def _tell_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            counts = self._limits.report()
            is_told = await self._tell(counts)
            self._told_intervals = self._told_intervals + 1 if is_told else 0
            self._view.end_interval()
            # A share follows the demand that was told last and before: the others know of both.
            if self._told_intervals >= TOLD_INTERVALS_MIN and self._view.is_fresh:
                self._view.forget_before(counts.day)
                self._limits.hear(self._view.others(counts.day))

    async def _tell(self, counts: CopyCounts) -> bool:
        """Tell the others, unless they know it; return False where they could not be reached."""
        self._quiet += 1
        is_known = self._told is not None and (self._told.day, self._told.clients) == (
            counts.day,
            counts.clients,
        )
        if is_known and self._quiet < QUIET_INTERVALS_MAX and not counts.is_last:
            return True
        value = _ENCODER.encode(counts)
        if self._bucket is None or len(value) > COPY_BYTES_MAX:
            return False
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self._bucket.put(self._copy, value)
        except (NatsError, OSError, TimeoutError) as error:
            _logger.debug("counts were not told: %s", type(error).__name__)
            return False
        self._told, self._quiet = counts, 0
        return True

    async def _follow(self, client: Client) -> None:
        while True:
            try:
                self._bucket = await open_bucket(client)
                watcher = await self._bucket.watchall()
                try:
                    # This copy's own words come back at least as often as it has to speak.
                    while True:
                        entry = await watcher.updates(timeout=self._interval_s * 2 * QUIET_INTERVALS_MAX)
                        if entry is not None and entry.value:
                            self._take(entry.key, entry.value)
                finally:
                    with contextlib.suppress(NatsError):
                        await watcher.stop()
            except (NatsError, OSError, TimeoutError) as error:
                _logger.debug("the bucket of counts is opened again: %s", type(error).__name__)
            await asyncio.sleep(self._interval_s)

    def _take(self, copy: str, value: bytes) -> None:
        try:
            self._view.take(copy, _DECODER.decode(value))
        except msgspec.MsgspecError as error:
            # A copy of another release, perhaps: the others are heard all the same.
            _logger.warning("what copy %s tells cannot be read: %s", copy, error)


async def open_bucket(client: Client) -> KeyValue:
    """Open the bucket in which copies tell what is used; make it where it is missing."""
    stream = client.jetstream()
    try:
        return await stream.key_value(subjects.USAGE_BUCKET)
    except BucketNotFoundError:
        config = KeyValueConfig(bucket=subjects.USAGE_BUCKET, ttl=KEPT_S, max_bytes=BUCKET_BYTES_MAX)
        return await stream.create_key_value(config)
