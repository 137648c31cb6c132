"""``/v1/tenants/{id}/party-identifiers``: the aggregator makes members reachable."""

from typing import Any, Final

import msgspec
from litestar import Controller, Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_platform.http import decode_body
from payhub_tenants.identifiers.model import IdentifierView, RegisterIdentifiers
from payhub_tenants.identifiers.service import IdentifierService
from payhub_tenants.tenants.api import known_form

_register: Final = msgspec.json.Decoder(RegisterIdentifiers)


class IdentifierController(Controller):
    """Party identifiers of a tenant."""

    path = "/v1/tenants/{tenant_id:str}/party-identifiers"

    @post("/", status_code=200)
    async def register(
        self,
        tenant_id: FromPath[str],
        request: Request[Any, Any, Any],
        identifiers: NamedDependency[IdentifierService],
    ) -> list[IdentifierView]:
        """Register identifiers; 200 tells the outcome of each, in the order of the request."""
        body: RegisterIdentifiers = decode_body(await request.body(), _register.decode)
        return await identifiers.register(known_form(tenant_id), body)
