"""``/v1/tenants/{id}/lifecycle`` and what leads from one status to the next."""

from typing import Annotated, Any, Final

import msgspec
from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_platform.http import decode_body
from payhub_tenants.authentication import calling_operator
from payhub_tenants.fields import Body
from payhub_tenants.lifecycle.model import LifecycleView
from payhub_tenants.lifecycle.requirements import Requirements
from payhub_tenants.lifecycle.service import LifecycleService
from payhub_tenants.openapi import takes
from payhub_tenants.tenants.api import known_form

AnyRequest = Request[Any, Any, Any]


class Reason(Body, frozen=True, kw_only=True):
    """Why: a ticket, a letter, a decision. It stands in the audit."""

    reason: Annotated[str, msgspec.Meta(pattern=r"^[^\x00-\x1f\x7f]{3,200}\Z")]


_reason: Final = msgspec.json.Decoder(Reason)


class LifecycleController(Controller):
    """Where a tenant stands, and its next steps. Asking twice is asking once."""

    path = "/v1/tenants/{tenant_id:str}"

    @get("/lifecycle")
    async def read(
        self, tenant_id: FromPath[str], lifecycle: NamedDependency[LifecycleService]
    ) -> LifecycleView:
        """Return the status, and the jobs with their evidence."""
        return await lifecycle.view(known_form(tenant_id))

    @get("/requirements")
    async def requirements(
        self, tenant_id: FromPath[str], lifecycle: NamedDependency[LifecycleService]
    ) -> Requirements:
        """Return what is missing for the next steps, and why."""
        return await lifecycle.requirements(known_form(tenant_id))

    @post("/suspend", status_code=200, operation_class=takes(Reason))
    async def suspend(
        self, tenant_id: FromPath[str], request: AnyRequest, lifecycle: NamedDependency[LifecycleService]
    ) -> LifecycleView:
        """Have gateways refuse new payments; those under way go on."""
        body: Reason = decode_body(await request.body(), _reason.decode)
        return await lifecycle.start(known_form(tenant_id), "suspend", _actor(request), body.reason)

    @post("/resume", status_code=200, operation_class=takes(Reason))
    async def resume(
        self, tenant_id: FromPath[str], request: AnyRequest, lifecycle: NamedDependency[LifecycleService]
    ) -> LifecycleView:
        """Let payments in again."""
        body: Reason = decode_body(await request.body(), _reason.decode)
        return await lifecycle.start(known_form(tenant_id), "resume", _actor(request), body.reason)

    @post("/offboard", status_code=200, operation_class=takes(Reason))
    async def offboard(
        self, tenant_id: FromPath[str], request: AnyRequest, lifecycle: NamedDependency[LifecycleService]
    ) -> LifecycleView:
        """Refuse new payments, let those under way end, export, withdraw identifiers; nothing is lost yet."""
        body: Reason = decode_body(await request.body(), _reason.decode)
        return await lifecycle.start(known_form(tenant_id), "offboard", _actor(request), body.reason)


def _actor(request: AnyRequest) -> str:
    return calling_operator(request).operator_id
