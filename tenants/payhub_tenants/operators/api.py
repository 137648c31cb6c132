"""``/v1/operators``: the administrator makes and removes operators."""

from typing import Annotated, Any, Final

import msgspec
from litestar import Controller, Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, Parameter

from payhub_platform.http import decode_body
from payhub_tenants.audit.model import AuditPage
from payhub_tenants.authentication import calling_operator
from payhub_tenants.openapi import takes
from payhub_tenants.operators.model import CreateOperator, OperatorView
from payhub_tenants.operators.service import OperatorService

PAGE_MAX: Final = 500

_create: Final = msgspec.json.Decoder(CreateOperator)


class OperatorController(Controller):
    """Operators of the installation."""

    path = "/v1/operators"
    opt = {"role": "administrator"}

    @post("/", operation_class=takes(CreateOperator))
    async def create(
        self, request: Request[Any, Any, Any], operators: NamedDependency[OperatorService]
    ) -> OperatorView:
        """Make an operator; its token is shown this once. A further approver waits for another one."""
        body: CreateOperator = decode_body(await request.body(), _create.decode)
        return await operators.create(body, calling_operator(request).operator_id)

    @get("/")
    async def page(self, operators: NamedDependency[OperatorService]) -> list[OperatorView]:
        """List all operators."""
        return await operators.all()

    @get("/audit")
    async def audit(
        self,
        operators: NamedDependency[OperatorService],
        after: Annotated[int, Parameter(ge=0)] = 0,
        limit: Annotated[int, Parameter(ge=1, le=PAGE_MAX)] = PAGE_MAX,
    ) -> AuditPage:
        """Return who made, let in and removed whom, in order."""
        return await operators.audit(after, limit)

    @post("/{operator_id:str}/approve", status_code=200, opt={"role": "approver"})
    async def approve(
        self,
        operator_id: FromPath[str],
        request: Request[Any, Any, Any],
        operators: NamedDependency[OperatorService],
    ) -> OperatorView:
        """Let an operator in who waits for another person."""
        return await operators.approve(operator_id, calling_operator(request).operator_id)

    @delete("/{operator_id:str}")
    async def remove(
        self,
        operator_id: FromPath[str],
        request: Request[Any, Any, Any],
        operators: NamedDependency[OperatorService],
    ) -> None:
        """Remove an operator; its token opens nothing from now on."""
        await operators.remove(operator_id, calling_operator(request).operator_id)
