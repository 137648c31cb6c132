"""RateLimit-Policy and RateLimit, as draft-ietf-httpapi-ratelimit-headers-11 writes them."""

from typing import Final

from litestar.datastructures import MutableScopeHeaders
from litestar.types import Message, Scope

from payhub_gateway.rates.model import DAY_S, Verdict, seconds

STATE: Final = "payhub-rate"


def fields(verdict: Verdict) -> dict[str, str]:
    """Return both fields: the policies, and what is left of each.

    The burst of the copy that answers is told, not the client's whole one: it is what this copy would admit.
    """
    step, limits = verdict.step, verdict.limits
    window_s = max(1, -(-limits.burst // limits.rate_per_s))
    reset_s = seconds(step.full_ns if step.remaining else step.wait_ns)
    return {
        "RateLimit-Policy": (
            f'"rate";q={verdict.burst};w={window_s}, "day";q={limits.quota_per_day};w={DAY_S}'
        ),
        "RateLimit": (
            f'"rate";r={step.remaining};t={reset_s}, "day";r={verdict.quota_left};t={verdict.reset_s}'
        ),
    }


async def add_rate_limit_headers(message: Message, scope: Scope) -> None:
    """Tell every client that was known how it stands, whatever the answer is."""
    verdict = scope["state"].get(STATE)
    if message["type"] == "http.response.start" and verdict is not None:
        headers = MutableScopeHeaders(message)
        for name, value in fields(verdict).items():
            headers[name] = value
