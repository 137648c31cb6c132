"""``/v1/tenants/{id}/clients``: the aggregator registers a tenant's channels."""

from typing import Any, Final

import msgspec
from litestar import Controller, Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_platform.http import decode_body
from payhub_tenants.authentication import calling_operator
from payhub_tenants.clients.model import ClientView, RegisterClient
from payhub_tenants.clients.service import ClientService
from payhub_tenants.openapi import takes
from payhub_tenants.tenants.api import known_form

_register: Final = msgspec.json.Decoder(RegisterClient)


class ClientController(Controller):
    """OAuth clients of a tenant."""

    path = "/v1/tenants/{tenant_id:str}/clients"

    @post("/", operation_class=takes(RegisterClient))
    async def register(
        self,
        tenant_id: FromPath[str],
        request: Request[Any, Any, Any],
        clients: NamedDependency[ClientService],
    ) -> Response[ClientView]:
        """Register a client: 201, or 200 where the same request did so before."""
        body: RegisterClient = decode_body(await request.body(), _register.decode)
        view, created = await clients.register(
            known_form(tenant_id), body, calling_operator(request).operator_id
        )
        return Response(view, status_code=201 if created else 200)
