"""Requests that need two people: going live, limits, deletion of keys, the end of a tenant."""

from typing import Any, Final

import msgspec
from litestar import Controller, Request, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_platform.http import decode_body
from payhub_tenants.approvals.model import ApprovalView, ConfirmPurge
from payhub_tenants.approvals.service import ApprovalService
from payhub_tenants.authentication import calling_operator
from payhub_tenants.openapi import takes
from payhub_tenants.tenants.api import known_form
from payhub_tenants.terms.model import Limits

AnyRequest = Request[Any, Any, Any]

_limits: Final = msgspec.json.Decoder(Limits)
_purge: Final = msgspec.json.Decoder(ConfirmPurge)


class ApprovalController(Controller):
    """202 means: it waits for another operator. The same request again is the same one."""

    path = "/v1/tenants/{tenant_id:str}"

    @post("/go-live", status_code=202)
    async def go_live(
        self, tenant_id: FromPath[str], request: AnyRequest, approvals: NamedDependency[ApprovalService]
    ) -> ApprovalView:
        """Ask for going live."""
        return await approvals.ask_to_go_live(known_form(tenant_id), _actor(request))

    @put("/limits", status_code=202, operation_class=takes(Limits))
    async def request_limits(
        self, tenant_id: FromPath[str], request: AnyRequest, approvals: NamedDependency[ApprovalService]
    ) -> ApprovalView:
        """Ask for other limits; those before hold until then."""
        body: Limits = decode_body(await request.body(), _limits.decode)
        return await approvals.ask_for_limits(known_form(tenant_id), body, _actor(request))

    @delete("/keys/{key_id:str}", status_code=202)
    async def request_key_deletion(
        self,
        tenant_id: FromPath[str],
        key_id: FromPath[str],
        request: AnyRequest,
        approvals: NamedDependency[ApprovalService],
    ) -> ApprovalView:
        """Ask for the deletion of a key that does not sign."""
        return await approvals.ask_to_delete_key(known_form(tenant_id), key_id, _actor(request))

    @post("/purge", status_code=202, operation_class=takes(ConfirmPurge))
    async def purge(
        self, tenant_id: FromPath[str], request: AnyRequest, approvals: NamedDependency[ApprovalService]
    ) -> ApprovalView:
        """Ask for the end: the tenant's key is destroyed, and its data with it."""
        body: ConfirmPurge = decode_body(await request.body(), _purge.decode)
        return await approvals.ask_to_purge(known_form(tenant_id), body.confirm, _actor(request))

    @get("/approvals")
    async def all(
        self, tenant_id: FromPath[str], approvals: NamedDependency[ApprovalService]
    ) -> list[ApprovalView]:
        """List the requests, the newest first."""
        return await approvals.all(known_form(tenant_id))

    @post("/approvals/{approval_id:str}/approve", status_code=200, opt={"role": "approver"})
    async def approve(
        self,
        tenant_id: FromPath[str],
        approval_id: FromPath[str],
        request: AnyRequest,
        approvals: NamedDependency[ApprovalService],
    ) -> ApprovalView:
        """Approve what another operator asked for; it is done at once, or begun."""
        return await approvals.decide(known_form(tenant_id), approval_id, "approved", _actor(request))

    @post("/approvals/{approval_id:str}/refuse", status_code=200, opt={"role": "approver"})
    async def refuse(
        self,
        tenant_id: FromPath[str],
        approval_id: FromPath[str],
        request: AnyRequest,
        approvals: NamedDependency[ApprovalService],
    ) -> ApprovalView:
        """Refuse what another operator asked for."""
        return await approvals.decide(known_form(tenant_id), approval_id, "refused", _actor(request))


def _actor(request: AnyRequest) -> str:
    return calling_operator(request).operator_id
