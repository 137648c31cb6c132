"""The aggregator's credential: one bearer token per installation."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Guard

from payhub_platform.errors import UnauthenticatedError
from payhub_platform.security.internal import bears


def aggregator_guard(token: str) -> Guard:
    """Return a Litestar guard that lets only the bearer of ``token`` in."""

    def require(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        if not bears(connection.headers, token):
            raise UnauthenticatedError("aggregator-credential", "This API is for the aggregator.")

    return require
