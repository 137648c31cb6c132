"""``/api/v1/payments``: payments for programs; ``/api/v1/tenants/{tenant}/export``: all of a tenant's."""

from typing import Any

from litestar import Controller, Request, get
from litestar.response import Stream

from payhub_operations.payments.export import MEDIA_TYPE, PaymentExports
from payhub_operations.payments.model import PaymentDetail, PaymentPage
from payhub_operations.payments.service import (
    PaymentService,
    read_direction,
    read_search,
    require_possible,
)
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


class ExportApi(Controller):
    """What operations holds of a tenant, to take away."""

    path = "/api/v1/tenants"
    guards = (require_operator,)

    @get("/{tenant:str}/export")
    async def export(self, exports: PaymentExports, tenant: str) -> Stream:
        """Stream every payment and every event as lines of JSON; the last line counts them."""
        require_possible(tenant, "tenant")
        return Stream(exports.begin(tenant), media_type=MEDIA_TYPE)
