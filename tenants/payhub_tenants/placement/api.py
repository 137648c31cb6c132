"""``/v1/tenants/{id}/placement``: which engines serve a tenant, and how far a move is."""

from typing import Any, Final

import msgspec
from litestar import Controller, Request, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_platform.http import decode_body
from payhub_tenants.authentication import calling_operator
from payhub_tenants.openapi import takes
from payhub_tenants.placement.model import ChangePlacement, PlacementView
from payhub_tenants.placement.service import PlacementService
from payhub_tenants.tenants.api import known_form
from payhub_tenants.tenants.model import TenantView

_placement: Final = msgspec.json.Decoder(ChangePlacement)


class PlacementController(Controller):
    """The placement of a tenant. Asking for the same twice is asking once."""

    path = "/v1/tenants/{tenant_id:str}/placement"

    @get()
    async def read(
        self, tenant_id: FromPath[str], placements: NamedDependency[PlacementService]
    ) -> PlacementView:
        """Return which engines serve a tenant, and what those before still have to end."""
        return await placements.view(known_form(tenant_id))

    @put(operation_class=takes(ChangePlacement))
    async def place(
        self,
        tenant_id: FromPath[str],
        request: Request[Any, Any, Any],
        placements: NamedDependency[PlacementService],
    ) -> TenantView:
        """Change which engines begin a tenant's payments; those under way end where they are."""
        body: ChangePlacement = decode_body(await request.body(), _placement.decode)
        return await placements.place(known_form(tenant_id), body, calling_operator(request).operator_id)
