"""Who calls: the installation's own token, or an operator's."""

from typing import Any, Final

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Guard

from payhub_platform.errors import UnauthenticatedError
from payhub_platform.security.internal import bears
from payhub_tenants.operators.errors import RoleMissingError
from payhub_tenants.operators.model import AGGREGATOR, TOKEN_PREFIX, Operator, OperatorRole
from payhub_tenants.operators.service import OperatorService
from payhub_tenants.tenants.errors import TenantNotFoundError

_BEARER: Final = f"Bearer {TOKEN_PREFIX}_"
_CALLER: Final = "operator"


def operator_guard(token: str, operators: OperatorService) -> Guard:
    """Return a Litestar guard that lets operators do what their roles allow.

    A handler's ``opt["role"]`` names the role; without it, reading is for everybody who is known and
    the rest for operators. Whoever is bound to an institution finds no other one.
    """

    async def require(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        operator = await _caller(connection, token, operators)
        default = "viewer" if connection.scope.get("method") in ("GET", "HEAD") else "operator"
        role: OperatorRole = handler.opt.get("role", default)
        if operator.institution not in (None, connection.path_params.get("tenant_id")):
            if "tenant_id" in connection.path_params:
                raise TenantNotFoundError
            raise RoleMissingError("administrator")
        if not operator.may(role):
            raise RoleMissingError(role)
        connection.state[_CALLER] = operator

    return require


def calling_operator(request: Request[Any, Any, Any]) -> Operator:
    """Return the operator that the guard has let in."""
    operator = request.state[_CALLER]
    assert isinstance(operator, Operator)  # noqa: S101 - the guard stands before every handler
    return operator


async def _caller(
    connection: ASGIConnection[Any, Any, Any, Any], token: str, operators: OperatorService
) -> Operator:
    if bears(connection.headers, token):
        return AGGREGATOR
    sent = connection.headers.get("authorization", "")
    operator = await operators.bearing(sent.removeprefix("Bearer ")) if sent.startswith(_BEARER) else None
    if operator is None:
        raise UnauthenticatedError("aggregator-credential", "This API is for the aggregator.")
    return operator
