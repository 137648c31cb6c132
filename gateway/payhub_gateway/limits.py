"""Everything a client can make the gateway hold is bounded here."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final

from litestar import Request

from payhub_gateway import request_shape
from payhub_platform.contracts.tenant import ApiLimits
from payhub_platform.errors import PayhubError, UnavailableError

BODY_BYTES_MAX: Final = request_shape.BODY_BYTES_MAX
BODY_WAIT_S: Final = 10.0
IN_FLIGHT_PER_CLIENT_MAX: Final = 128
IN_FLIGHT_MAX: Final = 512
RETRY_AFTER_S: Final = 1


class TooManyRequestsError(PayhubError):
    """One client has too many requests at work at once; others are not affected."""

    status: ClassVar[int] = 429
    title: ClassVar[str] = "Too many requests at once"


class RequestTimeoutError(PayhubError):
    """The client did not send its request in time."""

    status: ClassVar[int] = 408
    title: ClassVar[str] = "The request did not arrive in time"


class InFlight:
    """Counts requests at work in this copy of the gateway, per client of a tenant and altogether.

    Args:
        per_client_max: of one client, in all copies together, where its tenant has no limit of its own.
        total_max: of all clients, in this copy.
        copies: tells how many copies share ``per_client_max``.
    """

    def __init__(
        self,
        per_client_max: int = IN_FLIGHT_PER_CLIENT_MAX,
        total_max: int = IN_FLIGHT_MAX,
        copies: Callable[[], int] = lambda: 1,
    ) -> None:
        self._per_client_max = per_client_max
        self._copies = copies
        self._total_max = total_max
        self._total = 0
        self._by_client: Counter[tuple[str, str]] = Counter()

    def most_of(self, limits: ApiLimits | None) -> int:
        """Return how many requests of one client may be at work, in all copies together."""
        return (limits and limits.in_flight_max) or self._per_client_max

    @contextlib.contextmanager
    def slot(self, tenant_id: str, client_id: str, limits: ApiLimits | None = None) -> Iterator[None]:
        """Hold one slot while the block runs.

        Args:
            tenant_id: the client's tenant.
            client_id: who asks.
            limits: of the tenant; None where it has none of its own.

        Raises:
            UnavailableError: code ``overloaded``; the gateway is full.
            TooManyRequestsError: code ``too-many-requests``; this client's share is used up.
        """
        client, most = (tenant_id, client_id), self.most_of(limits)
        if self._by_client[client] >= max(1, most // self._copies()):
            raise TooManyRequestsError(
                "too-many-requests",
                f"At most {most} requests of one client are served at once.",
                retry_after_s=RETRY_AFTER_S,
            )
        if self._total >= self._total_max:
            raise UnavailableError("overloaded", "The gateway is full.", retry_after_s=RETRY_AFTER_S)
        self._by_client[client] += 1
        self._total += 1
        try:
            yield
        finally:
            self._total -= 1
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]


async def read_body(request: Request[Any, Any, Any]) -> bytes:
    """Read a request's body.

    Raises:
        BodyTooLargeError: code ``body-too-large``; it has more than ``BODY_BYTES_MAX``.
        RequestTimeoutError: code ``request-timeout``; it did not arrive within ``BODY_WAIT_S``.
        InvalidInputError: code ``malformed-json``; it is nested too deeply.
    """
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            body = await _whole_body(request)
    except TimeoutError as error:
        raise RequestTimeoutError(
            "request-timeout", f"The body did not arrive within {BODY_WAIT_S:g} s."
        ) from error
    request_shape.check_depth(body)
    return body


async def _whole_body(request: Request[Any, Any, Any]) -> bytes:
    body, has_more = b"", True
    while has_more:
        message: Any = await request.receive()
        if message["type"] == "http.disconnect":
            raise RequestTimeoutError("request-timeout", "The connection ended before the body.")
        body += message.get("body", b"")
        has_more = message.get("more_body", False)
        if len(body) > BODY_BYTES_MAX:
            raise request_shape.BodyTooLargeError(
                "body-too-large", f"A body has at most {BODY_BYTES_MAX} bytes."
            )
    return body
