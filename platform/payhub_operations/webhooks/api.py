"""``/api/v1/webhooks``: deliveries for programs."""

from typing import Any, Final

import msgspec
from litestar import Controller, Request, get, post
from litestar.status_codes import HTTP_202_ACCEPTED

from payhub_operations.sessions.api import require_operator
from payhub_operations.webhooks.model import (
    DeliveryDetail,
    DeliveryPage,
    DeliveryView,
    EndpointList,
    Replayed,
    ReplaySince,
)
from payhub_operations.webhooks.service import WebhookService
from payhub_platform.http import decode_body

_since: Final = msgspec.json.Decoder(ReplaySince)


class WebhooksApi(Controller):
    """A tenant's webhooks; what is sent again has the same id as before."""

    path = "/api/v1/webhooks/{tenant:str}"
    guards = (require_operator,)

    @get("/endpoints")
    async def endpoints(self, webhooks: WebhookService, tenant: str) -> EndpointList:
        """Return where the tenant is told what, and how much waits for each."""
        return EndpointList(endpoints=await webhooks.endpoints(tenant))

    @get("/deliveries")
    async def deliveries(
        self, request: Request[Any, Any, Any], webhooks: WebhookService, tenant: str
    ) -> DeliveryPage:
        """Return one page, newest first; filtered by ``state`` and ``payment``."""
        return await webhooks.deliveries(tenant, request.query_params)

    @get("/deliveries/{delivery:str}")
    async def detail(self, webhooks: WebhookService, tenant: str, delivery: str) -> DeliveryDetail:
        """Return one delivery with its body and attempts."""
        return await webhooks.detail(tenant, delivery)

    @post("/deliveries/{delivery:str}/replay", status_code=HTTP_202_ACCEPTED)
    async def replay(self, webhooks: WebhookService, tenant: str, delivery: str) -> Replayed:
        """Send one delivery again, whatever became of it."""
        await webhooks.replay(tenant, delivery)
        return Replayed(replayed=1)

    @post("/endpoints/{endpoint:str}/replay", status_code=HTTP_202_ACCEPTED)
    async def replay_since(
        self, request: Request[Any, Any, Any], webhooks: WebhookService, tenant: str, endpoint: str
    ) -> Replayed:
        """Send all again from a time on; where the answer has ``nextSince``, ask again from there."""
        body: ReplaySince = decode_body(await request.body(), _since.decode)
        return await webhooks.replay_since(tenant, endpoint, body.since)

    @post("/endpoints/{endpoint:str}/test", status_code=HTTP_202_ACCEPTED)
    async def send_test(self, webhooks: WebhookService, tenant: str, endpoint: str) -> DeliveryView:
        """Send a message that tells of no payment."""
        return await webhooks.send_test(tenant, endpoint)
