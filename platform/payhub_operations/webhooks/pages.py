"""The page of a tenant's webhooks: where they go, what became of them, and sending them again."""

from typing import Any
from urllib.parse import urlencode

from litestar import Controller, Request, get, post
from litestar.response import Redirect, Template
from litestar.status_codes import HTTP_303_SEE_OTHER

from payhub_operations.payments.service import PaymentService
from payhub_operations.sessions.api import require_session
from payhub_operations.webhooks.model import STATES, DeliveryPage
from payhub_operations.webhooks.service import WebhookService


class WebhookPages(Controller):
    """Pages for operators; every filter is in the address."""

    path = "/webhooks"
    guards = (require_session,)
    include_in_schema = False

    @get()
    async def show(
        self,
        request: Request[Any, Any, Any],
        webhooks: WebhookService,
        payments: PaymentService,
        tenant: str = "",
    ) -> Template:
        """Show endpoints and one page of deliveries; without a tenant, the first one's."""
        tenants = await payments.tenants()
        tenant = tenant or (tenants[0] if tenants else "")
        page = DeliveryPage(deliveries=[], next=None)
        if tenant:
            page = await webhooks.deliveries(tenant, request.query_params)
        filters = {name: request.query_params.get(name, "") for name in ("state", "payment")}
        older = urlencode({"tenant": tenant, **filters, "before": page.next}) if page.next else ""
        context = {
            "tenants": tenants,
            "tenant": tenant,
            "filters": filters,
            "states": STATES,
            "endpoints": await webhooks.endpoints(tenant) if tenant else [],
            "page": page,
            "older": f"/webhooks?{older}" if older else "",
        }
        return Template("webhooks.html", context=context)

    @post("/{tenant:str}/deliveries/{delivery:str}/replay")
    async def replay(self, webhooks: WebhookService, tenant: str, delivery: str) -> Redirect:
        """Send one delivery again and show the list."""
        await webhooks.replay(tenant, delivery)
        return _to_list(tenant)

    @post("/{tenant:str}/endpoints/{endpoint:str}/test")
    async def send_test(self, webhooks: WebhookService, tenant: str, endpoint: str) -> Redirect:
        """Send a test message and show the list."""
        await webhooks.send_test(tenant, endpoint)
        return _to_list(tenant)


def _to_list(tenant: str) -> Redirect:
    return Redirect("/webhooks", query_params={"tenant": tenant}, status_code=HTTP_303_SEE_OTHER)
