"""``/v1/tenants``: the aggregator creates, reads and changes tenants."""

import re
from typing import Annotated, Any, Final

import msgspec
from litestar import Controller, Request, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, Parameter

from payhub_platform.http import decode_body
from payhub_tenants.authentication import calling_operator
from payhub_tenants.openapi import takes
from payhub_tenants.tenants.ams import AmsBody, AmsCheck
from payhub_tenants.tenants.connections import ConnectionService
from payhub_tenants.tenants.errors import TenantNotFoundError
from payhub_tenants.tenants.model import (
    CreateTenant,
    TenantPage,
    TenantView,
)
from payhub_tenants.tenants.scheme import ChangeScheme
from payhub_tenants.tenants.service import TenantService

PAGE_MAX: Final = 200

_TENANT_ID: Final = re.compile(r"[a-z][a-z0-9-]{1,30}")
_create: Final = msgspec.json.Decoder(CreateTenant)
_ams: Final = msgspec.json.Decoder(AmsBody)
_scheme: Final = msgspec.json.Decoder(ChangeScheme)


def known_form(tenant_id: str) -> str:
    """Return a tenant id from a path; one that cannot be an id is not looked for.

    Raises:
        TenantNotFoundError: no tenant can have this id.
    """
    if _TENANT_ID.fullmatch(tenant_id) is None:
        raise TenantNotFoundError
    return tenant_id


class TenantController(Controller):
    """Tenants."""

    path = "/v1/tenants"

    @post("/", operation_class=takes(CreateTenant))
    async def create(
        self, request: Request[Any, Any, Any], tenants: NamedDependency[TenantService]
    ) -> Response[TenantView]:
        """Create a tenant: 201, or 200 where the same request did so before."""
        body: CreateTenant = decode_body(await request.body(), _create.decode)
        view, created = await tenants.create(body, calling_operator(request).operator_id)
        return Response(view, status_code=201 if created else 200)

    @get("/")
    async def page(
        self,
        tenants: NamedDependency[TenantService],
        after: Annotated[str, Parameter(max_length=64, pattern=r"^[a-z0-9-]*\Z")] = "",
        limit: Annotated[int, Parameter(ge=1, le=PAGE_MAX)] = PAGE_MAX,
    ) -> TenantPage:
        """List tenants in the order of their ids."""
        return await tenants.page(after, limit)

    @get("/{tenant_id:str}")
    async def read(self, tenant_id: FromPath[str], tenants: NamedDependency[TenantService]) -> TenantView:
        """Return one tenant."""
        return await tenants.get(known_form(tenant_id))

    @put("/{tenant_id:str}/scheme", operation_class=takes(ChangeScheme))
    async def change_scheme(
        self,
        tenant_id: FromPath[str],
        request: Request[Any, Any, Any],
        tenants: NamedDependency[TenantService],
        connections: NamedDependency[ConnectionService],
    ) -> TenantView:
        """Change how a tenant speaks at its scheme; where address or credentials change, it must answer."""
        body: ChangeScheme = decode_body(await request.body(), _scheme.decode)
        actor = calling_operator(request).operator_id
        await connections.change_scheme(known_form(tenant_id), body, actor)
        return await tenants.get(tenant_id)

    @put("/{tenant_id:str}/ams", operation_class=takes(AmsBody))
    async def change_ams(
        self,
        tenant_id: FromPath[str],
        request: Request[Any, Any, Any],
        tenants: NamedDependency[TenantService],
        connections: NamedDependency[ConnectionService],
    ) -> TenantView:
        """Change how the core bank is reached, once it has answered there."""
        body: AmsBody = decode_body(await request.body(), _ams.decode)
        actor = calling_operator(request).operator_id
        await connections.change_ams(known_form(tenant_id), body, actor)
        return await tenants.get(tenant_id)

    @post("/{tenant_id:str}/ams/check", status_code=200)
    async def check_ams(
        self,
        tenant_id: FromPath[str],
        request: Request[Any, Any, Any],
        connections: NamedDependency[ConnectionService],
    ) -> AmsCheck:
        """Ask the core bank now whether address, credentials and its API are right."""
        return await connections.check_ams(known_form(tenant_id), calling_operator(request).operator_id)

    @get("/{tenant_id:str}/export")
    async def export(
        self, tenant_id: FromPath[str], tenants: NamedDependency[TenantService]
    ) -> Response[bytes]:
        """Return everything that the tenant owns here, but no credentials."""
        export = await tenants.export(known_form(tenant_id))
        headers = {"content-digest": f"sha-256=:{export.digest_base64}:"}
        return Response(export.content, headers=headers, media_type="application/json")
