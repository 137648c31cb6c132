"""``/v1/tenants/{id}/endpoints``."""

from typing import Any, Final

import msgspec
from litestar import Controller, Request, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_platform.http import decode_body
from payhub_tenants.authentication import calling_operator
from payhub_tenants.endpoints.model import Endpoints, EndpointsView, EndpointView, RotateSecret
from payhub_tenants.endpoints.service import EndpointService
from payhub_tenants.openapi import takes
from payhub_tenants.tenants.api import known_form

_put: Final = msgspec.json.Decoder(Endpoints)
_rotate: Final = msgspec.json.Decoder(RotateSecret)


class EndpointController(Controller):
    """Callbacks and webhooks of a tenant."""

    path = "/v1/tenants/{tenant_id:str}/endpoints"

    @get("/")
    async def read(
        self, tenant_id: FromPath[str], endpoints: NamedDependency[EndpointService]
    ) -> EndpointsView:
        """Return all endpoints."""
        return await endpoints.get(known_form(tenant_id))

    @put("/", operation_class=takes(Endpoints))
    async def put(
        self,
        tenant_id: FromPath[str],
        request: Request[Any, Any, Any],
        endpoints: NamedDependency[EndpointService],
    ) -> EndpointsView:
        """Set all endpoints; private addresses are refused. This answer alone tells a new one's secret."""
        body: Endpoints = decode_body(await request.body(), _put.decode)
        return await endpoints.put(known_form(tenant_id), body, calling_operator(request).operator_id)

    @post("/{endpoint_id:str}/rotate", status_code=200, operation_class=takes(RotateSecret, required=False))
    async def rotate(
        self,
        tenant_id: FromPath[str],
        endpoint_id: FromPath[str],
        request: Request[Any, Any, Any],
        endpoints: NamedDependency[EndpointService],
    ) -> EndpointView:
        """Sign with a new secret, which this answer alone tells, and for the overlap with the one before."""
        body: RotateSecret = decode_body(await request.body() or b"{}", _rotate.decode)
        actor = calling_operator(request).operator_id
        return await endpoints.rotate(known_form(tenant_id), endpoint_id, body.overlap_ms, actor)
