"""Questions about payments, always inside one tenant."""

from collections.abc import Mapping
from typing import Final, get_args

from payhub_operations.database import Database
from payhub_operations.payments import repository
from payhub_operations.payments.errors import InvalidSearchError, PaymentNotFoundError
from payhub_operations.payments.identifiers import Identify
from payhub_operations.payments.model import (
    STATES,
    Direction,
    PaymentDetail,
    PaymentPage,
    Search,
)
from payhub_operations.payments.timeline import event_view, timeline
from payhub_operations.payments.views import payment_view, read_cursor, write_cursor

TEXT_CHARACTERS_MAX: Final = 128
DIRECTIONS: Final[tuple[Direction, ...]] = get_args(Direction)


def read_search(query: Mapping[str, str]) -> Search:
    """Read a search from ``q``, ``state``, ``direction`` and ``before``; what is empty filters nothing.

    Raises:
        InvalidSearchError: which field is not understood.
    """
    text, state, before = query.get("q", "").strip(), query.get("state", ""), query.get("before", "")
    if len(text) > TEXT_CHARACTERS_MAX or "\0" in text:
        raise InvalidSearchError("q", f"The text to look for has at most {TEXT_CHARACTERS_MAX} characters.")
    found_state = next((known for known in STATES if known == state), None)
    if state and found_state is None:
        raise InvalidSearchError("state", f"The state is one of {', '.join(STATES)}.")
    return Search(
        text=text,
        state=found_state,
        direction=read_direction(query.get("direction", "")),
        before=read_cursor(before) if before else None,
    )


def read_direction(text: str) -> Direction | None:
    """Read a direction; empty is none.

    Raises:
        InvalidSearchError: it is neither.
    """
    found = next((known for known in DIRECTIONS if known == text), None)
    if text and found is None:
        raise InvalidSearchError("direction", f"The direction is one of {', '.join(DIRECTIONS)}.")
    return found


class PaymentService:
    """Finds and shows payments."""

    def __init__(self, database: Database, identify: Identify) -> None:
        self._database = database
        self._identify = identify

    async def tenants(self) -> list[str]:
        """Return the tenants that have records."""
        async with self._database.overseer() as connection:
            return await repository.tenant_names(connection)

    async def search(self, tenant: str, search: Search) -> PaymentPage:
        """Return one page of a tenant's payments, newest first."""
        require_possible(tenant, "tenant")
        async with self._database.tenant(tenant) as connection:
            rows, more = await repository.search(connection, search, self._identify(tenant, search.text))
        return PaymentPage(
            payments=[payment_view(row) for row in rows],
            next_cursor=write_cursor(rows[-1]) if more else None,
        )

    async def detail(self, tenant: str, payment: str, direction: Direction | None) -> PaymentDetail:
        """Return a payment with its timeline; outgoing first where it has both directions.

        Raises:
            PaymentNotFoundError: this tenant has no such payment.
        """
        require_possible(tenant, "tenant")
        require_possible(payment, "payment")
        async with self._database.tenant(tenant) as connection:
            sides = await repository.find(connection, payment)
            row = next((side for side in sides if direction in (None, side.direction)), None)
            if row is None:
                raise PaymentNotFoundError(payment)
            events, more = await repository.events_of(connection, row)
        others = [side.direction for side in sides if side is not row]
        return PaymentDetail(
            payment=payment_view(row),
            other_direction=others[0] if others else None,
            timeline=timeline(row, events),
            events=[event_view(event) for event in events],
            more_events=more,
        )


def require_possible(text: str, field: str) -> None:
    """Refuse what is missing, and what PostgreSQL could not even compare."""
    if not text or "\0" in text or len(text) > TEXT_CHARACTERS_MAX:
        raise InvalidSearchError(field, f"No {field} looks like this.")
