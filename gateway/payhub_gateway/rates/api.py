"""``GET /v1/usage``: a client asks how it stands."""

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency

from payhub_gateway.channel.access import Access
from payhub_gateway.limits import InFlight
from payhub_gateway.oauth2.model import SCOPE_READ
from payhub_gateway.rates.model import DAY_MS, Usage
from payhub_gateway.rates.service import RateLimits
from payhub_platform.clock import Clock, iso


@get("/v1/usage")
async def usage(
    request: Request[Any, Any, Any],
    access: NamedDependency[Access],
    rates: NamedDependency[RateLimits],
    in_flight: NamedDependency[InFlight],
    clock: NamedDependency[Clock],
) -> Usage:
    """Tell the client's limits, and what it has used of them; the question itself is counted."""
    caller = access.require(request, SCOPE_READ)
    limits = access.limits_of(caller.tenant)
    verdict = rates.look(caller.tenant.tenant_id, caller.client_id, limits)
    day_ms = clock() // DAY_MS * DAY_MS
    return Usage(
        client_id=caller.client_id,
        rate_per_second=limits.rate_per_s,
        burst=limits.burst,
        remaining_now=verdict.step.remaining,
        day=iso(day_ms).partition("T")[0],
        quota_per_day=limits.quota_per_day,
        used_today=verdict.used,
        remaining_today=verdict.quota_left,
        resets_in_seconds=verdict.reset_s,
        in_flight_max=in_flight.most_of(caller.tenant.api_limits),
        copies=rates.copies,
    )
