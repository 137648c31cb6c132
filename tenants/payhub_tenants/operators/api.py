"""``/v1/operators``: the administrator makes and removes operators."""

from typing import Any, Final

import msgspec
from litestar import Controller, Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_platform.http import decode_body
from payhub_tenants.openapi import takes
from payhub_tenants.operators.model import CreateOperator, OperatorView
from payhub_tenants.operators.service import OperatorService

_create: Final = msgspec.json.Decoder(CreateOperator)


class OperatorController(Controller):
    """Operators of the installation."""

    path = "/v1/operators"
    opt = {"role": "administrator"}

    @post("/", operation_class=takes(CreateOperator))
    async def create(
        self, request: Request[Any, Any, Any], operators: NamedDependency[OperatorService]
    ) -> OperatorView:
        """Make an operator; its token is shown this once."""
        body: CreateOperator = decode_body(await request.body(), _create.decode)
        return await operators.create(body)

    @get("/")
    async def page(self, operators: NamedDependency[OperatorService]) -> list[OperatorView]:
        """List all operators."""
        return await operators.all()

    @delete("/{operator_id:str}")
    async def remove(self, operator_id: FromPath[str], operators: NamedDependency[OperatorService]) -> None:
        """Forget an operator; its token opens nothing from now on."""
        await operators.remove(operator_id)
