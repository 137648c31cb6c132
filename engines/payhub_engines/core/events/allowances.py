"""What payments take of their tenant's limits, and give back."""

from payhub_engines.core.events.base import Event


class AllowanceTaken(Event, frozen=True, tag=48):
    """An instance is about to move money: it counts for the tenant and the member, on the day of ``at_ms``.

    Times of the member's payments of that day that are farther away than ``kept_ms`` are forgotten.
    """

    instance: int
    element: str
    member: str
    currency: str
    minor: int
    at_ms: int
    kept_ms: int
    part: str = ""  # of the instance, where that moves money several times


class AllowanceReturned(Event, frozen=True, tag=49):
    """What an instance, or a part of it, had taken counts no more: it has certainly moved nothing."""

    instance: int
    element: str
    part: str = ""


class AllowanceRefused(Event, frozen=True, tag=50):
    """A limit of the tenant is reached; ``retry_at_ms`` is when it lets the same through, 0 never."""

    instance: int
    element: str
    limit: str
    retry_at_ms: int


class UsageForgotten(Event, frozen=True, tag=51):
    """What was moved on days before ``day`` counts nowhere any more; so many rows of it are gone."""

    day: int  # since 1970-01-01
    rows: int
