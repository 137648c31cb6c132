"""RateLimit-Policy and RateLimit, as draft-ietf-httpapi-ratelimit-headers-11 writes them."""

from typing import Final

from payhub_gateway.rates.model import DAY_S, Verdict, seconds

STATE: Final = "payhub-rate"
"""In a request's state: how its client stands, once that is known."""


def fields(verdict: Verdict) -> list[tuple[bytes, bytes]]:
    """Return both fields: the policies, and what is left of each.

    The burst of the copy that answers is told, not the client's whole one: it is what this copy would admit.
    """
    step, limits = verdict.step, verdict.limits
    window_s = max(1, -(-limits.burst // limits.rate_per_s))
    reset_s = seconds(step.full_ns if step.remaining else step.wait_ns)
    policy = f'"rate";q={verdict.burst};w={window_s}, "day";q={limits.quota_per_day};w={DAY_S}'
    left = f'"rate";r={step.remaining};t={reset_s}, "day";r={verdict.quota_left};t={verdict.reset_s}'
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]
