"""The limits of all clients in one copy of the gateway. No I/O: ``exchange`` tells it of the other copies."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from payhub_gateway.rates import gcra, shares
from payhub_gateway.rates.errors import LimitExceededError
from payhub_gateway.rates.gcra import Rate
from payhub_gateway.rates.model import (
    DAY_MS,
    DAY_S,
    ClientCount,
    CopyCounts,
    Verdict,
    seconds,
)
from payhub_platform.clock import Clock
from payhub_platform.contracts.tenant import ApiLimits

CLIENTS_MAX: Final = 10_000
"""Of one copy; beyond, the one that was silent longest is forgotten, with what it used today."""

_FADING: Final = 2


class Others(msgspec.Struct, frozen=True):
    """What the other copies have told.

    Attributes:
        copies: how many live, without this one.
        used: requests that they, and copies that ended today, have admitted today, by client.
        demand: what clients ask of them, counted high, by client.
    """

    copies: int
    used: dict[str, int]
    demand: dict[str, int]


class _Client:
    """One client's state in this copy."""

    __slots__ = ("arrival_ns", "attempts", "demand", "limits", "rate", "used", "used_elsewhere")

    def __init__(self, limits: ApiLimits, rate: Rate, used_elsewhere: int) -> None:
        self.limits = limits
        self.rate = rate
        self.arrival_ns = 0
        self.used = 0
        self.used_elsewhere = used_elsewhere
        self.attempts = 0
        self.demand = (0, 0)


class RateLimits:
    """Admits requests or refuses them.

    Args:
        clock: tells the day.
        monotonic_ns: measures; never goes back.
        copies: how many copies of the gateway run, until they have heard of one another.
        clients_max: how many clients are remembered.
    """

    def __init__(
        self,
        clock: Clock,
        monotonic_ns: Callable[[], int],
        copies: int = 1,
        clients_max: int = CLIENTS_MAX,
    ) -> None:
        self._clock = clock
        self._monotonic_ns = monotonic_ns
        self._others = Others(copies - 1, {}, {})
        self._clients_max = clients_max
        self._clients: OrderedDict[str, _Client] = OrderedDict()
        self._day = clock() // DAY_MS
        self._turn = 0

    @property
    def copies(self) -> int:
        """How many copies share the limits."""
        return self._others.copies + 1

    def admit(self, tenant_id: str, client_id: str, limits: ApiLimits) -> tuple[Verdict, bool]:
        """Count a request; return how the client stands, and whether the request may pass."""
        client = self._client(tenant_id, client_id, limits)
        client.attempts += 1
        has_quota = client.used + client.used_elsewhere < limits.quota_per_day
        step = gcra.step(client.rate, client.arrival_ns, self._monotonic_ns(), take=has_quota)
        if step.admitted:
            client.arrival_ns = step.arrival_ns
            client.used += 1
        return self._verdict(client, step), step.admitted

    def look(self, tenant_id: str, client_id: str, limits: ApiLimits) -> Verdict:
        """Return how a client stands; counts nothing."""
        client = self._client(tenant_id, client_id, limits)
        step = gcra.step(client.rate, client.arrival_ns, self._monotonic_ns(), take=False)
        return self._verdict(client, step)

    def report(self) -> CopyCounts:
        """End an interval, and return what the other copies are told of it."""
        self._turn_day()
        for client in self._clients.values():
            last = client.demand[0]
            # Fading: a client that pauses for a moment keeps most of what it had.
            client.demand = (max(client.attempts, last // _FADING), last)
            client.attempts = 0
        clients = {
            name: ClientCount(client.used, client.demand[0])
            for name, client in self._clients.items()
            if client.used or client.demand[0]
        }
        self._turn += 1
        return CopyCounts(day=self._day, turn=self._turn, clients=clients)

    def hear(self, others: Others) -> None:
        """Take what the other copies have told, and divide the rates anew."""
        self._others = others
        now_ns = self._monotonic_ns()
        for name, client in self._clients.items():
            client.used_elsewhere = others.used.get(name, 0)
            self._set_rate(client, self._rate(client.limits, name, client.demand), now_ns)

    def _client(self, tenant_id: str, client_id: str, limits: ApiLimits) -> _Client:
        self._turn_day()
        name = f"{tenant_id}/{client_id}"
        client = self._clients.get(name)
        if client is None:
            rate = self._rate(limits, name, (0, 0))
            client = self._clients[name] = _Client(limits, rate, self._others.used.get(name, 0))
            if len(self._clients) > self._clients_max:
                self._clients.popitem(last=False)
        else:
            self._clients.move_to_end(name)
            if client.limits != limits:
                client.limits = limits
                self._set_rate(client, self._rate(limits, name, client.demand), self._monotonic_ns())
        return client

    def _rate(self, limits: ApiLimits, name: str, demand: tuple[int, int]) -> Rate:
        share = shares.share_ppm(self.copies, demand, self._others.demand.get(name, 0))
        return Rate.of(limits.rate_per_s, limits.burst, share)

    def _set_rate(self, client: _Client, rate: Rate, now_ns: int) -> None:
        if rate != client.rate:
            client.arrival_ns = gcra.at_another_rate(client.rate, rate, client.arrival_ns, now_ns)
            client.rate = rate

    def _verdict(self, client: _Client, step: gcra.Step) -> Verdict:
        reset_s = DAY_S - self._clock() % DAY_MS // 1000
        return Verdict(client.limits, client.rate.burst, step, client.used + client.used_elsewhere, reset_s)

    def _turn_day(self) -> None:
        day = self._clock() // DAY_MS
        if day <= self._day:  # a clock that was set back gives nobody a second quota
            return
        self._day = day
        self._others = Others(self._others.copies, {}, self._others.demand)
        for client in self._clients.values():
            client.used = client.used_elsewhere = 0


def require(verdict: Verdict, admitted: bool) -> None:
    """Refuse a request that may not pass.

    Raises:
        LimitExceededError: 429 ``rate-exceeded`` or ``quota-exceeded``, with Retry-After.
    """
    if admitted:
        return
    limits = verdict.limits
    if not verdict.quota_left:
        raise LimitExceededError(
            "quota-exceeded",
            f"All {limits.quota_per_day} requests of this client for today (UTC) are used.",
            retry_after_s=verdict.reset_s,
        )
    raise LimitExceededError(
        "rate-exceeded",
        f"This client may ask {limits.rate_per_s} times a second, and {limits.burst} times at once.",
        retry_after_s=max(1, seconds(verdict.step.wait_ns)),
    )
