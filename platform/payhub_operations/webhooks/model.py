"""Endpoints, deliveries and their attempts, and when the next attempt is due. Pure."""

import zlib
from datetime import datetime, timedelta
from typing import Final, Literal, get_args

import msgspec

from payhub_platform.contracts.tenant import WebhookSecret

DeliveryState = Literal["pending", "delivered", "failed"]
STATES: Final[tuple[DeliveryState, ...]] = get_args(DeliveryState)

RETRY_FOR: Final = timedelta(days=3)  # after that the last attempt is made
RETRY_WAIT_MIN: Final = timedelta(seconds=5)
RETRY_WAIT_MAX: Final = timedelta(hours=12)
JITTER_PERCENT: Final = 10
ENDPOINT_WAIT_MAX: Final = timedelta(minutes=5)  # that an endpoint which fails is left alone
RECOVERED_WAIT: Final = timedelta(minutes=1)  # an endpoint that answers again has what waits by then
LEASE: Final = timedelta(seconds=60)  # longer than an attempt; after it another one may begin

PAGE_ROWS: Final = 50
ATTEMPTS_SHOWN_MAX: Final = 100
REPLAY_EVENTS_MAX: Final = 5_000

TEST_TYPE: Final = "webhook.test"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a tenant is told what; the fields are the columns."""

    tenant: str
    endpoint: str
    url: str
    purpose: str
    events: list[str]
    secrets: list[WebhookSecret]
    failing_since: datetime | None = None
    retry_at: datetime | None = None

    @property
    def configured(self) -> "Endpoint":
        """The endpoint as its tenant has it, whatever was met there."""
        return msgspec.structs.replace(self, failing_since=None, retry_at=None)

    def takes(self, message: "Message") -> bool:
        """Tell whether a message is for this endpoint."""
        return message.type in self.events and (self.purpose != "callback" or message.is_own)


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The event with which a payment's process ended, and where it stands in the log."""

    tenant: str
    engine: str
    position: int
    process: str
    payment: str
    instance: int
    at: datetime


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of an end, to every endpoint that takes it; its id is the same whenever it is sent."""

    message: str
    end: End
    type: str
    is_own: bool  # the institution's own channel had asked for it
    body: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A message on its way to one endpoint, as it is sent."""

    tenant: str
    number: int
    endpoint: str
    message: str
    body: str
    attempts: int  # this one included
    started_at: datetime
    url: str
    secrets: list[WebhookSecret]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an attempt."""

    status: int = 0  # 0: there was no answer
    error: str = ""  # empty: the receiver has taken it
    took_ms: int = 0


class EndpointView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An endpoint as it is shown, with what waits for it."""

    endpoint: str
    url: str
    purpose: str
    events: list[str]
    failing_since: str | None
    retry_at: str | None  # until then it is left alone
    pending: int
    failed: int


class EndpointList(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /api/v1/webhooks/{tenant}/endpoints``."""

    endpoints: list[EndpointView]


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A delivery as it is shown; times are ISO 8601 in UTC."""

    delivery: int
    endpoint: str
    message: str
    type: str
    payment: str
    at: str  # when it happened
    state: DeliveryState
    attempts: int
    next_attempt_at: str | None
    delivered_at: str | None
    error: str


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One page of deliveries, newest first; ``next`` goes into ``before`` for the next page."""

    deliveries: list[DeliveryView]
    next: int | None


class AttemptView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One attempt; status 0 where there was no answer."""

    attempt: int
    at: str
    took_ms: int
    status: int
    error: str


class DeliveryDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery, what it says, and its newest attempts, the last one first."""

    delivery: DeliveryView
    body: msgspec.Raw
    attempts: list[AttemptView]


class ReplaySince(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST .../endpoints/{endpoint}/replay``."""

    since: str  # ISO 8601 with offset


class Replayed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many deliveries are sent again or for the first time; from ``next_since`` on there is more."""

    replayed: int
    next_since: str | None = None


def next_attempt(delivery: Delivery, now: datetime) -> datetime | None:
    """Return when a delivery that was not taken is tried again; None where that was the last time.

    Each wait is as long as all there was before, so that it doubles, and one attempt is left for the end.
    """
    ends = delivery.started_at + RETRY_FOR
    if now >= ends:
        return None
    wait = min(max(now - delivery.started_at, RETRY_WAIT_MIN), RETRY_WAIT_MAX)
    return min(now + wait * (100 + _jitter_percent(delivery)) / 100, ends)


def _jitter_percent(delivery: Delivery) -> int:
    """Return a number that deliveries differ by, so that what failed together is not sent together again."""
    scattered = zlib.crc32(f"{delivery.message}/{delivery.attempts}".encode())
    return scattered % (2 * JITTER_PERCENT + 1) - JITTER_PERCENT
