"""``/api/v1/payments``: payments for programs."""

from typing import Any

from litestar import Controller, Request, get

from payhub_operations.payments.model import PaymentDetail, PaymentPage
from payhub_operations.payments.service import PaymentService, read_direction, read_search
from payhub_operations.sessions.api import require_operator


class PaymentsApi(Controller):
    """A tenant's payments."""

    path = "/api/v1/payments"
    guards = (require_operator,)

    @get()
    async def search(
        self, request: Request[Any, Any, Any], payments: PaymentService, tenant: str
    ) -> PaymentPage:
        """Return one page, newest first; ``nextCursor`` goes into ``before`` for the next."""
        return await payments.search(tenant, read_search(request.query_params))

    @get("/{tenant:str}/{payment:str}")
    async def detail(
        self, payments: PaymentService, tenant: str, payment: str, direction: str = ""
    ) -> PaymentDetail:
        """Return one payment with its timeline."""
        return await payments.detail(tenant, payment, read_direction(direction))
