"""Limits of a client, what it has used, and what the copies of a gateway tell one another."""

from typing import Final

import msgspec

from payhub_gateway.rates.gcra import SECOND_NS, Step
from payhub_platform.contracts.base import Contract
from payhub_platform.contracts.tenant import ApiLimits

DAY_S: Final = 86_400
DAY_MS: Final = DAY_S * 1000


class Verdict(msgspec.Struct, frozen=True):
    """How a client stands after a request.

    Attributes:
        limits: what it may ask for.
        burst: how many of this copy's requests may come at once; its share of ``limits.burst``.
        step: how it stands with its rate.
        used: how many of its requests were admitted today.
        reset_s: until the next day begins.
    """

    limits: ApiLimits
    burst: int
    step: Step
    used: int
    reset_s: int

    @property
    def quota_left(self) -> int:
        """How many more may be admitted today."""
        return max(self.limits.quota_per_day - self.used, 0)


class Usage(Contract, frozen=True, kw_only=True, rename="camel", omit_defaults=False):
    """Answer of ``GET /v1/usage``: the limits of the client that asks, and where it stands."""

    client_id: str
    rate_per_second: int
    burst: int
    remaining_now: int  # at the copy that was asked
    day: str  # UTC
    quota_per_day: int
    used_today: int
    remaining_today: int
    resets_in_seconds: int
    in_flight_max: int
    copies: int  # of the gateway, that share the limits


class ClientCount(msgspec.Struct, frozen=True, array_like=True):
    """What a copy says of one client.

    Attributes:
        used: requests that it has admitted today.
        demand: requests that reached it in the last interval, admitted or not, fading.
    """

    used: int
    demand: int


class CopyCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What a copy tells the others; by client, as ``tenant/client``.

    Attributes:
        day: which day ``used`` is of, in days since the Unix epoch.
        turn: grows with every word of the copy.
        clients: those that asked anything today.
        is_last: the copy ends, and leaves its share to the others.
    """

    day: int
    turn: int
    clients: dict[str, ClientCount]
    is_last: bool = False


def seconds(ns: int) -> int:
    """Return whole seconds, rounded up: who waits so long never comes too early."""
    return -(-ns // SECOND_NS)
